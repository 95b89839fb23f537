-- lease.lua: a node's beat. Its lease holds on, its word is kept; one node that has lost its own is given to it to bury.
--
-- ARGV  1 lease   2 for how long, ms   3 what the node says of itself
--       4 "" to hold on, "new" to take the lease, "again" likewise by a node that had another
--       5 lease that it buries, "" none   6 "1" to be told who is there
-- -> {1, server's clock, changes of held:L, lease to bury or "", ms that the queue's clock is ahead, then for each lease that is held what its node says, the newest first} · {0}: the lease is lost
local lease, most, now = ARGV[1], tonumber(ARGV[2]), clock()
if ARGV[4] == '' and not is_held(lease) or redis.call('ZSCORE', P .. 'burials', lease) then return { 0 } end
local age, calm, pause = read_age(now)
if (pause == 0 and age == 0 and ARGV[4] == 'again') or math.abs(pause) > 2 * STEP then calm = age + SETTLE end

-- The clock of the queue (queue.lua) is this one, and goes on where it was when this is set back: what is due would wait for as long. It is
-- ahead then, and a tenth slower until they agree. Who sends is told that something may be due before what was read.
local function queue_time()
    local pulse, step = redis.call('GET', P .. 'pulse'), math.max(0, math.min(pause, STEP))
    local at = pulse and #pulse >= 32 and struct.unpack('<d', pulse, 25) + step or now
    return at > now and at - step / 10 or now
end
local queue_now = queue_time()
if pause < 0 then
    local endpoints, subjects = table.concat(redis.call('HKEYS', P .. 'senders')), {}
    for _, sender in ipairs(redis.call('HVALS', P .. 'senders')) do
        local _, at = struct.unpack('<Bc0', sender)
        subjects[string.sub(sender, at)] = true
    end
    for subject in pairs(subjects) do redis.call('PUBLISH', subject, 'qa' .. endpoints) end
end
redis.call('SET', P .. 'pulse', struct.pack('<dddd', now, age, calm, queue_now))
redis.call('ZADD', P .. 'leases', text(age + most), lease)
redis.call('HSET', P .. 'nodes', lease, struct.pack('<I8', now) .. ARGV[3])

local bury = ''
if ARGV[5] ~= '' then
    redis.call('ZADD', P .. 'burials', 'XX', text(age + most), ARGV[5])
else
    bury = redis.call('ZRANGE', P .. 'leases', '-inf', text(age), 'BYSCORE', 'LIMIT', 0, 1)[1]
    if bury then
        redis.call('ZREM', P .. 'leases', bury)
        redis.call('HDEL', P .. 'nodes', bury)
    else
        bury = redis.call('ZRANGE', P .. 'burials', '-inf', text(age), 'BYSCORE', 'LIMIT', 0, 1)[1] or ''
    end
    if bury ~= '' then redis.call('ZADD', P .. 'burials', text(age + most), bury) end
end

if ARGV[4] ~= '' or bury ~= '' then redis.call('PUBLISH', P .. 'words', 'n') end
local reply = { 1, text(now), redis.call('HGET', P .. 'held:' .. lease, '') or '0', bury, text(queue_now - now) }
if ARGV[6] == '1' then
    for _, other in ipairs(redis.call('ZRANGE', P .. 'leases', '+inf', '(' .. text(age), 'BYSCORE', 'REV')) do
        reply[#reply + 1] = redis.call('HGET', P .. 'nodes', other) or ''
    end
end
return reply
