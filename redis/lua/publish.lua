-- publish.lua: one message gets its number, is kept, and goes out to the nodes; all of it or nothing (EXACT.md 1, 2, 5, 18–20).
--
-- KEYS  1 head   hash: epoch, seq (newest number), time (of it, ms), proof (of it), marked (time of the newest mark)
--       2 index  stream <seq>-0 {c: channel, p: proof, k: "1" if its message is kept}: which channel a number was for
--       3 marks  sorted set: number by the time at which it was the newest; what is known of the past of forgotten channels
--       4 last   string, of the channel: number of its newest message, bytes of all its messages so far, bytes when last trimmed
--       5 kept   stream <seq>-0 {m: message, b: bytes of all messages so far}, of the channel
--       6 replay string, of the idempotency key: content, epoch, seq, time; the key "" when there is none
-- ARGV  1 subject of the channel (PUBLISH)   2 channel
--       3 the message as store_block.h has it, without seq, prev and time
--       4 history: messages, 5 ms, 6 bytes; 0 messages: nothing is kept
--       7 length of the index   8 ms for which a channel's newest number is known   9 epoch, should there be none
--       10 condition: "" none; "none" the channel has no message; "EPOCH SEQ" its newest is this one
--       11 content of the request, for its idempotency key   12 ms for which that is known   13 proof: random bytes
-- -> {"ok", epoch, seq, time, nodes} · {"replay", epoch, seq, time} · {"reused"} · {"changed", epoch, seq; 0: no message}
local head = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'time', 'marked')
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local epoch, seq, newest = head[1] or ARGV[9], tonumber(head[2] or 0), tonumber(head[3] or 0)
if now < newest then now = newest end

if KEYS[6] ~= '' then
    local first = redis.call('GET', KEYS[6])
    if first then
        local content, e, s, t = string.match(first, '^(%S+) (%S+) (%S+) (%S+)$')
        if content ~= ARGV[11] then return {'reused'} end
        return {'replay', e, s, t}
    end
end

local last, bytes, trimmed = 0, 0, 0
local known = redis.call('GET', KEYS[4])
if known then
    local l, b, t = string.match(known, '^(%S+) (%S+) (%S+)$')
    last, bytes, trimmed = tonumber(l), tonumber(b), tonumber(t)
end
if ARGV[10] ~= '' then
    local met = ARGV[10] == 'none' and not known or known and ARGV[10] == epoch .. ' ' .. string.format('%.0f', last)
    if not met then return {'changed', epoch, string.format('%.0f', last)} end
end

local prev = last
if not known then
    -- Whatever was forgotten of it came before the first mark that is young enough.
    local mark = redis.call('ZRANGE', KEYS[3], now - ARGV[8], '+inf', 'BYSCORE', 'LIMIT', 0, 1)
    prev = tonumber(mark[1] or seq)
end
seq = seq + 1
local number = string.format('%.0f', seq)
local id = number .. '-0'
redis.call('HSET', KEYS[1], 'epoch', epoch, 'seq', number, 'time', now, 'proof', ARGV[13])
if now - tonumber(head[4] or 0) >= 1000 then
    redis.call('HSET', KEYS[1], 'marked', now)
    redis.call('ZADD', KEYS[3], now, number)
    local old = redis.call('ZRANGE', KEYS[3], '-inf', now - ARGV[8], 'BYSCORE', 'LIMIT', 0, 100)
    if #old > 1 then redis.call('ZREM', KEYS[3], unpack(old, 1, #old - 1)) end
end

local message = struct.pack('<I8I8I8', seq, prev, now) .. ARGV[3]
local size, ttl, most = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
if size > 0 then
    bytes = bytes + #message
    redis.call('XADD', KEYS[5], 'MAXLEN', size, id, 'm', message, 'b', bytes)
    redis.call('PEXPIRE', KEYS[5], ttl)
    -- Bytes and ages are looked at when a quarter of what may be kept has come since: a look costs as much as a publish.
    while bytes - trimmed > most / 4 do
        local oldest = redis.call('XRANGE', KEYS[5], '-', '+', 'COUNT', 100)
        local cut
        for _, entry in ipairs(oldest) do
            local time = struct.unpack('<I8', entry[2][2], 17)
            if bytes - tonumber(entry[2][4]) + #entry[2][2] <= most and now - time < ttl then break end
            cut = entry[1]
        end
        if not cut or cut == id then trimmed = bytes break end
        redis.call('XTRIM', KEYS[5], 'MINID', string.match(cut, '^%d+') + 1)
        if cut ~= oldest[#oldest][1] then trimmed = bytes end
    end
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[7], id, 'c', ARGV[2], 'p', ARGV[13], 'k', 1)
else
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[7], id, 'c', ARGV[2], 'p', ARGV[13])
end
redis.call('SET', KEYS[4], number .. ' ' .. bytes .. ' ' .. trimmed, 'PX', ARGV[8])
if KEYS[6] ~= '' then
    redis.call('SET', KEYS[6], ARGV[11] .. ' ' .. epoch .. ' ' .. number .. ' ' .. now, 'PX', ARGV[12])
end
local nodes = redis.call('PUBLISH', ARGV[1], struct.pack('<I8', tonumber(epoch)) .. message)
return {'ok', epoch, number, tostring(now), nodes}
