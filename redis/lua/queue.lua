-- queue.lua: stands behind common.lua before scripts that know of events and their deliveries (hub/deliveries.h).
--
--   events     stream <seq>-0 {e: type 1 · epoch 8 · time 8 · channel 1+n · name 1+n, m: message as store_block.h has it}
--   event:N    hash, of event N: its deliveries by target: endpoint 16 · lane 16 · status 1 · tries 2 · due 8 · settled 8 · attempts
--   due:E      sorted set: what endpoint E is to be sent (a key: number 8 · target 1, big-endian), by when it is due
--   lane:E:L   sorted set, all scores 0: keys of those of a lane that are pending
--   heads:E    hash: of each lane the one key that is due, now or later, or is blocked
--   dead, dead:E   sorted sets, all scores 0: keys of dead letters
--   queue      hash: p<E>, d<E> how many are pending, dead · bytes of all events and attempts · outbox: its last number
--   senders    hash: of each endpoint, the node that sends (senders.lua): lease 1+n · subject of its words
--   removed    sorted set: endpoints that were removed lately, by when
--   outbox     stream <n>-0 {c: change 1 · channel 1+n · user 1+n · info}: changes that are to become events (event.lua)
--
-- Endpoints and lanes are 16 hexadecimal digits. Times are the server's, in ms.
local PENDING, DELIVERED, DEAD, REMOVED = 0, 1, 2, 4
local NO_LANE, NEVER, BLOCKED = '0000000000000000', 2 ^ 53 - 1, 2 ^ 53 - 2

local function key_of(seq, target) return struct.pack('>I8B', seq, target) end

local function count(field, by)
    if by ~= 0 then redis.call('HINCRBY', P .. 'queue', field, text(by)) end
end

-- As the last beat had it (lease.lua), and on from there, but not far: whatever the server's clock does, it neither stops nor leaps.
local function queue_clock()
    local BEAT, pulse = 1500, redis.call('GET', P .. 'pulse')
    if not pulse or #pulse < 32 then return clock() end
    local last, _, _, at = struct.unpack('<dddd', pulse)
    return at + math.max(0, math.min(clock() - last, BEAT))
end

-- ---- one delivery ----

local function read_delivery(seq, target)
    local packed = redis.call('HGET', P .. 'event:' .. text(seq), target)
    if not packed then return nil end
    local d, at = {}, nil
    d.endpoint, d.lane, d.status, d.tries, d.due, d.settled, at = struct.unpack('<c16c16BI2dd', packed)
    d.attempts = string.sub(packed, at)
    return d, packed
end

local function write_delivery(seq, target, d)
    redis.call('HSET', P .. 'event:' .. text(seq), target,
               struct.pack('<c16c16BI2dd', d.endpoint, d.lane, d.status, d.tries, d.due, d.settled) .. d.attempts)
end

-- Into what it is found by as it stands now, and out of that again.
local function enlist(key, d)
    if d.status == DEAD then
        count('d' .. d.endpoint, 1)
        redis.call('ZADD', P .. 'dead', 0, key)
        redis.call('ZADD', P .. 'dead:' .. d.endpoint, 0, key)
    elseif d.status == PENDING then
        count('p' .. d.endpoint, 1)
        if d.due < BLOCKED then redis.call('ZADD', P .. 'due:' .. d.endpoint, text(d.due), key) end
        if d.lane == NO_LANE then return end
        redis.call('ZADD', P .. 'lane:' .. d.endpoint .. ':' .. d.lane, 0, key)
        if d.due < NEVER then redis.call('HSET', P .. 'heads:' .. d.endpoint, d.lane, key) end
    end
end

local function take_off(key, d)
    if d.status == DEAD then
        count('d' .. d.endpoint, -1)
        redis.call('ZREM', P .. 'dead', key)
        redis.call('ZREM', P .. 'dead:' .. d.endpoint, key)
    elseif d.status == PENDING then
        count('p' .. d.endpoint, -1)
        redis.call('ZREM', P .. 'due:' .. d.endpoint, key)
        if d.lane == NO_LANE then return end
        redis.call('ZREM', P .. 'lane:' .. d.endpoint .. ':' .. d.lane, key)
        if redis.call('HGET', P .. 'heads:' .. d.endpoint, d.lane) == key then redis.call('HDEL', P .. 'heads:' .. d.endpoint, d.lane) end
    end
end

-- Nobody of the lane is due: the first one is, from now on. True: there is one.
local function promote(endpoint, lane, now)
    if redis.call('HGET', P .. 'heads:' .. endpoint, lane) then return false end
    local waiting = P .. 'lane:' .. endpoint .. ':' .. lane
    local key = redis.call('ZRANGE', waiting, '-', '+', 'BYLEX', 'LIMIT', 0, 1)[1]
    if not key then return false end
    local seq, target = struct.unpack('>I8B', key)
    local d = read_delivery(seq, target)
    if not d then      -- Redis has thrown it away (maxmemory-policy)
        redis.call('ZREM', waiting, key)
        return promote(endpoint, lane, now)
    end
    d.due = now
    write_delivery(seq, target, d)
    redis.call('ZADD', P .. 'due:' .. endpoint, text(now), key)
    redis.call('HSET', P .. 'heads:' .. endpoint, lane, key)
    return true
end

-- Whoever sends to these endpoints is told that something is due there: n, after all that was due before; a, perhaps among it.
local function tell_senders(how, endpoints)
    local subjects = {}
    for endpoint in pairs(endpoints) do
        local sender = redis.call('HGET', P .. 'senders', endpoint)
        if sender then
            local _, at = struct.unpack('<Bc0', sender)
            local subject = string.sub(sender, at)
            subjects[subject] = (subjects[subject] or '') .. endpoint
        end
    end
    for subject, list in pairs(subjects) do redis.call('PUBLISH', subject, 'q' .. how .. list) end
end

-- ---- one event ----

-- What an event is and whom it is for: type 1 · how many may wait for an endpoint 8 · its name 1+n · of each target: endpoint 16 · lane 16.
-- Its message has number and time. Also when it is for nobody.
local function keep_event(head, channel, message, packed)
    local type, most, name, at = struct.unpack('<BdBc0', packed)
    local seq, time, now, due = head.seq, head.time, math.max(queue_clock(), head.time), {}
    local about = struct.pack('<BI8dBc0Bc0', type, head.epoch, time, #channel, channel, #name, name)
    redis.call('XADD', P .. 'events', text(seq) .. '-0', 'e', about, 'm', message)
    count('bytes', #message)
    local target = 0
    while at <= #packed do
        local endpoint, lane
        endpoint, lane, at = struct.unpack('<c16c16', packed, at)
        if not redis.call('ZSCORE', P .. 'removed', endpoint) then
            local waiting = tonumber(redis.call('HGET', P .. 'queue', 'p' .. endpoint) or 0)
            local is_over, is_behind = waiting >= most, lane ~= NO_LANE and redis.call('EXISTS', P .. 'lane:' .. endpoint .. ':' .. lane) == 1
            local d = { endpoint = endpoint, lane = lane, status = is_over and DEAD or PENDING, tries = 0, settled = 0, attempts = '',
                        due = not is_over and is_behind and NEVER or now }
            write_delivery(seq, target, d)
            enlist(key_of(seq, target), d)
            if d.status == PENDING and d.due < NEVER then due[endpoint] = true end
        end
        target = target + 1
    end
    tell_senders('n', due)
end

-- {what it is, message}; nil: there is none
local function read_event(seq)
    local entry = redis.call('XRANGE', P .. 'events', text(seq), text(seq))[1]
    return entry and { entry[2][2], entry[2][4] }
end
