-- senders.lua: which node sends to which endpoint: one at a time, as long as its lease is held (age.lua) and until it lets go.
--
--   standings  hash: of each endpoint how it stands, as its sender has said last
--   wants      string: the letters of the changes that are to become events (change.lua), as a node has said last
--
-- ARGV  1 lease   2 subject of this node's words   3 wants   4 endpoints that it would send to   5 that it lets go of
--       6 how its own stand: endpoint 16 · standing 2+n   7 endpoints that were removed, 8 and those that nothing is left of
-- -> {1, entries of the outbox, senders, queue (queue.lua), standings}, the hashes as lists · {0}: the lease is lost
local lease, now = ARGV[1], clock()
if not is_held(lease) then return { 0 } end
local function each(list, run) for endpoint in string.gmatch(list, '%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x') do run(endpoint) end end

local function lease_of(endpoint)
    local sender = redis.call('HGET', P .. 'senders', endpoint)
    return sender and (struct.unpack('<Bc0', sender))
end

-- For a day nothing is kept for it, in case a node has not heard of it yet.
each(ARGV[7], function(endpoint)
    redis.call('ZADD', P .. 'removed', text(now), endpoint)
    redis.call('HSET', P .. 'queue', 'r' .. endpoint, 1)
    redis.call('HDEL', P .. 'senders', endpoint)
    redis.call('HDEL', P .. 'standings', endpoint)
end)
each(ARGV[8], function(endpoint) redis.call('HDEL', P .. 'queue', 'p' .. endpoint, 'd' .. endpoint, 'r' .. endpoint) end)
redis.call('ZREMRANGEBYSCORE', P .. 'removed', '-inf', text(now - 86400000))

each(ARGV[5], function(endpoint)
    if lease_of(endpoint) == lease then redis.call('HDEL', P .. 'senders', endpoint) end
end)
each(ARGV[4], function(endpoint)
    local owner = lease_of(endpoint)
    if owner and is_held(owner) or redis.call('ZSCORE', P .. 'removed', endpoint) then return end
    redis.call('HSET', P .. 'senders', endpoint, struct.pack('<Bc0', #lease, lease) .. ARGV[2])
end)

local at = 1
while at <= #ARGV[6] do
    local endpoint, n, standing
    endpoint, n, at = struct.unpack('<c16H', ARGV[6], at)
    standing, at = string.sub(ARGV[6], at, at + n - 1), at + n
    if lease_of(endpoint) == lease then redis.call('HSET', P .. 'standings', endpoint, standing) end
end

-- Which channels are occupied is only written down while somebody is to be told: those that were before are looked up once. Where the data was
-- lost nodes say it (change.lua).
local function wants_occupancy(wants) return string.find(wants, '[ov]') ~= nil end
local wants = redis.call('GET', P .. 'wants')
if wants ~= ARGV[3] then redis.call('SET', P .. 'wants', ARGV[3]) end
if wants and wants_occupancy(ARGV[3]) and not wants_occupancy(wants) then
    local subject = P .. 'm:'
    for _, one in ipairs(redis.call('PUBSUB', 'CHANNELS', string.gsub(subject, '[^%w]', '\\%0') .. '*')) do
        redis.call('SADD', P .. 'occupied', string.sub(one, #subject + 1))
    end
elseif wants and wants_occupancy(wants) and not wants_occupancy(ARGV[3]) then
    redis.call('UNLINK', P .. 'occupied', P .. 'vacant')
end
return { 1, redis.call('XLEN', P .. 'outbox'), redis.call('HGETALL', P .. 'senders'), redis.call('HGETALL', P .. 'queue'), redis.call('HGETALL', P .. 'standings') }
