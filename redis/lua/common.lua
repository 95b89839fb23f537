-- common.lua: stands before each of the other scripts; what they all know of the keys.
--
-- KEYS[1] is P, the prefix with its hash tag ("carillon:{0}:"): all keys of a partition begin with it, and so lie in one slot.
--   head     string: epoch 8 · proof 8 · then doubles: seq, time of the newest message · due, opened of the open interval (0: none is) · floor
--   run      string: the server whose data the nodes vouch for (proof.lua)
--   index    stream <seq>-0 {e: time 8 · proof 8 · 1 if its message was kept, 2 if it ends by its own ttl, else 0 · channel}: which channel
--            each number was for; "" none: the beginning of an epoch, or an event that is no message (queue.lua)
--   names    sorted set, all scores 0: channels whose stream was begun, and has not been found gone since
--   marks    sorted set: the last number of an interval, by when the first channel may be forgotten that was published to in it
--   leaps    sorted set: the last number before a leap, by the first one behind it: what is between was lost, or never given (proof.lua)
--   last:C   string, what is known of channel C, doubles (read_known); forgotten META ms after its newest message
--   kept:C   stream <seq>-0 {m: message as store_block.h has it, b: bytes of all messages so far}
--   done:H   string, of an idempotency key: content, epoch, seq, time, subscribers
--
-- Numbers are doubles here: exact up to 2^53.
local P = KEYS[1]

local function text(number) return string.format('%.0f', number) end

local function clock()
    local at = redis.call('TIME')
    return at[1] * 1000 + math.floor(at[2] / 1000)
end

-- A command that the user of this link may not run. By its words the hub knows it from one that ended a script in its middle.
local function not_allowed(command) return redis.error_reply('NOPERM the user of redis.url may not run ' .. command) end

-- Of what pcall returned: '' it was done, else why not.
local function failure(done) return type(done) == 'table' and done.err or '' end
local function is_forbidden(why) return string.find(why, '^NOPERM') or string.find(why, 'user executing the script', 1, true) end

-- nil: the data is gone, or was never there (proof.lua makes an epoch); also as it lies there
local function read_head()
    local packed = redis.call('GET', P .. 'head')
    if not packed then return nil end
    local epoch, proof, seq, time, due, opened, floor = struct.unpack('<I8c8ddddd', packed)
    return { epoch = epoch, proof = proof, seq = seq, time = time, due = due, opened = opened, floor = floor }, packed
end

local function write_head(h)
    redis.call('SET', P .. 'head', struct.pack('<I8c8ddddd', h.epoch, h.proof, h.seq, h.time, h.due, h.opened, h.floor))
end

local function number_of(id) return tonumber(string.sub(id, 1, -3)) end      -- all ids end in -0

-- `*` is one segment, `**` at the end one or more; a segment may be empty.
local function matcher(name)
    local pattern = string.gsub(name, '[^%w]', '%%%0')
    pattern = string.gsub(pattern, '%%%*%%%*', '.*')
    return '^' .. string.gsub(pattern, '%%%*', '[^.]*') .. '$'
end

local function add_to_index(number, most, channel, time, proof, kept)
    return redis.pcall('XADD', P .. 'index', 'MAXLEN', '~', most, text(number) .. '-0', 'e', struct.pack('<I8c8B', time, proof, kept) .. channel)
end

-- What is known of a channel. The oldest message that counts tells what was given up before it: `prev`. That is not so once messages have
-- ended by their own ttl, which is no gap (EXACT.md 5), or a purge was asked for: then `gone` says it, and is kept as exactly as can be.
local function new_known(last)
    return { last = last, bytes = 0, trimmed = 0, ttl = 0, most = 0, expires = 0, gone = 0, firm = last, passed = 0, first_end = 0 }
end

local function read_known(channel)      -- nil: nothing
    local packed = redis.call('GET', P .. 'last:' .. channel)
    if not packed then return nil end
    local k = {}
    -- newest number · bytes of all messages so far · of those when it was trimmed last · ms and bytes that it may keep · when kept:C expires
    k.last, k.bytes, k.trimmed, k.ttl, k.most, k.expires = struct.unpack('<dddddd', packed)
    if #packed > 48 then
        -- number of the last one given up, 0: prev tells · of the newest that does not end · when all after that have ended, 0: there are
        -- none · nothing that is kept ends before this, 0: nothing does
        k.gone, k.firm, k.passed, k.first_end = struct.unpack('<dddd', packed, 49)
    else
        k.gone, k.firm, k.passed, k.first_end = 0, k.last, 0, 0
    end
    return k
end

local function pack_known(k)
    local packed = struct.pack('<dddddd', k.last, k.bytes, k.trimmed, k.ttl, k.most, k.expires)
    return k.gone == 0 and packed or packed .. struct.pack('<dddd', k.gone, k.firm, k.passed, k.first_end)
end

-- msg_size: the fixed part of struct msg in place of that of store_block.h.
local function size_of(message) return #message + (string.byte(message, 29) < 128 and 40 or 23) end

local function time_of(message) return (struct.unpack('<I8', message, 17)) end
local function end_of(message)      -- by its own ttl; 0: never
    if string.byte(message, 29) < 128 then return 0 end
    local ttl = struct.unpack('<I8', message, 33)
    return ttl > 0 and time_of(message) + ttl or 0
end

-- The floor (EXACT.md 6): whatever channel is not known any more had its newest message at or below it. Such a message is in an interval
-- that is due: `due` is the least of time + META in it. Each node has its own META, so the sum is kept, not the time. Intervals are closed
-- after META / 1024 and told apart by the server's own clock, as the expiry of keys is: a clock that is set back makes the floor higher
-- than it need be, never lower.
local function floor_of(head, now)
    local floor = head.floor
    for _, number in ipairs(redis.call('ZRANGE', P .. 'marks', '-inf', now, 'BYSCORE')) do
        floor = math.max(floor, tonumber(number))
    end
    if head.due > 0 and head.due <= now then floor = math.max(floor, head.seq) end
    return floor
end

-- Marks of which the floor knows. The head is for the caller to write.
local function sweep_marks(head, now)
    local floor = floor_of(head, now)
    if floor == head.floor then return false end
    head.floor = floor
    redis.call('ZREMRANGEBYSCORE', P .. 'marks', '-inf', now)
    return true
end

-- Everything the subscriber of `subject` was to be sent before this has been sent; it stands at this number.
local function echo(subject, head, token)
    redis.call('PUBLISH', subject, struct.pack('<I8c8I8', head.epoch, head.proof, head.seq) .. token)
end

-- What a retry is answered, by the digest of its idempotency key ("": it has none); nil: it is the first.
local function first_of_key(digest, content)
    local first = digest ~= '' and redis.call('GET', P .. 'done:' .. digest)
    if not first then return nil end
    local known, epoch, seq, time, subscribers = string.match(first, '^(%S+) (%S+) (%S+) (%S+) (%S+)$')
    if known ~= content then return { 'reused' } end
    return { 'replay', epoch, seq, time, subscribers }
end

local function remember_key(digest, content, ttl, head, subscribers)
    if digest == '' then return end
    redis.call('SET', P .. 'done:' .. digest, content .. ' ' .. text(head.epoch) .. ' ' .. text(head.seq) .. ' ' .. text(head.time) .. ' ' .. subscribers, 'PX', ttl)
end

-- Some names, by chance: those whose streams are gone are taken out. Two for each that begins, on the average, and so they are never much more
-- than the others.
local function sweep_names(n)
    local names, keys = redis.call('ZRANDMEMBER', P .. 'names', n), {}
    for i, name in ipairs(names) do keys[i] = P .. 'kept:' .. name end
    if #keys == 0 or redis.call('EXISTS', unpack(keys)) == #keys then return end
    for i, name in ipairs(names) do
        if redis.call('EXISTS', keys[i]) == 0 then redis.call('ZREM', P .. 'names', name) end
    end
end
