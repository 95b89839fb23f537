-- common.lua: stands before each of the other scripts; what they all know of the keys.
--
-- KEYS[1] is P, the prefix with its hash tag ("carillon:{0}:"): all keys of a partition begin with it, and so lie in one slot.
--   head     hash: epoch · seq, time, proof of the newest message · low, opened of the open interval · floor · run, of the server
--   index    stream <seq>-0 {c: channel, p: proof, t: time, k: "1" if its message was kept}: which channel each number was for
--   marks    sorted set: the last number of an interval, by the lowest time in it
--   last:C   string, what is known of channel C: number of its newest message, bytes of all its messages so far, bytes when it was
--            trimmed last, ttl in ms and bytes that it may keep; forgotten META ms after its newest message
--   kept:C   stream <seq>-0 {m: message, b: bytes of all messages so far}
--   done:H   string, of an idempotency key: content, epoch, seq, time, subscribers
--
-- Numbers are doubles here: exact up to 2^53.
local P = KEYS[1]

local function text(number) return string.format('%.0f', number) end

local function clock()
    local at = redis.call('TIME')
    return at[1] * 1000 + math.floor(at[2] / 1000)
end

-- nil when there is no epoch: the data is gone, or was never there (proof.lua makes one).
local function read_head()
    local h = redis.call('HMGET', P .. 'head', 'epoch', 'seq', 'time', 'proof', 'low', 'opened', 'floor')
    if not h[1] then return nil end
    return { epoch = h[1], seq = tonumber(h[2]), time = tonumber(h[3]), proof = h[4], low = tonumber(h[5] or nil), opened = tonumber(h[6] or nil),
             floor = tonumber(h[7] or 0) }
end

-- The floor (EXACT.md 6): whatever channel is not known any more had its newest message at or below it. Such a message is older than
-- META, so it is in an interval whose lowest time is. Intervals are closed after META / 1024 and told apart by the server's own clock,
-- as the expiry of keys is: a clock that is set back makes the floor higher than it need be, never lower.
local function floor_of(head, now, meta)
    local floor = head.floor
    for _, number in ipairs(redis.call('ZRANGE', P .. 'marks', '-inf', now - meta, 'BYSCORE')) do
        floor = math.max(floor, tonumber(number))
    end
    if head.low and head.low <= now - meta then floor = math.max(floor, head.seq) end
    return floor
end

-- Which is what need not be kept as marks any more.
local function sweep_marks(head, now, meta)
    local floor = floor_of(head, now, meta)
    if floor == head.floor then return end
    redis.call('HSET', P .. 'head', 'floor', text(floor))
    redis.call('ZREMRANGEBYSCORE', P .. 'marks', '-inf', now - meta)
end

-- Everything the subscriber of `subject` was to be sent before this has been sent; it stands at this number.
local function echo(subject, head, token)
    redis.call('PUBLISH', subject, struct.pack('<I8c8I8', tonumber(head.epoch), head.proof, head.seq) .. token)
end

