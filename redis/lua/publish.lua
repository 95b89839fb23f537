-- publish.lua: one message gets its number, is kept, and goes out to the nodes; all of it or nothing (EXACT.md 1, 2, 5, 18, 20).
--
-- ARGV  1 channel   2 the message as store_block.h has it, without seq, prev and time   3 proof: 8 random bytes
--       4 messages, 5 ms, 6 bytes that the channel may keep; 0 messages: none is kept
--       7 META: ms for which a channel's newest number is known   8 length of the index
--       9 condition: "" none; "none" the channel has no message; "EPOCH SEQ" its newest is this one
--       10 digest of the idempotency key, "" none   11 of the content   12 ms for which that is known   13 subscribers, for a replay
-- -> {"ok", epoch, seq, time} · {"replay", epoch, seq, time, subscribers} · {"reused"} · {"changed", epoch, seq; 0: no message} · {"none"}
--    PUBLISH P"m:"channel: epoch 8 · proof 8 · seq 8 · prev 8 · time 8 · message. prev is 0 when nothing was known of the channel: its
--    floor, which is what the kept message has, is nothing that a listener could have missed.
local channel, message, proof, size, ttl, most, meta = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local head = read_head()
if not head then return { 'none' } end

local done = ARGV[10] ~= '' and P .. 'done:' .. ARGV[10]
if done then
    local first = redis.call('GET', done)
    if first then
        local content, epoch, seq, time, subscribers = string.match(first, '^(%S+) (%S+) (%S+) (%S+) (%S+)$')
        if content ~= ARGV[11] then return { 'reused' } end
        return { 'replay', epoch, seq, time, subscribers }
    end
end

local last, bytes, trimmed, had, expires = 0, 0, 0, 0, 0
local known = redis.call('GET', P .. 'last:' .. channel)
if known then
    local _
    last, bytes, trimmed, had, _, expires = struct.unpack('<dddddd', known)
end
if ARGV[9] ~= '' then
    local met = ARGV[9] == 'none' and not known or known and ARGV[9] == text(head.epoch) .. ' ' .. text(last)
    if not met then return { 'changed', text(head.epoch), text(last) } end
end

local now = clock()
local time, seq = math.max(now, head.time), head.seq + 1
local prev = known and last or floor_of(head, now, meta)
local number = text(seq)
local id = number .. '-0'
if head.low == 0 then
    head.low, head.opened = now, now
elseif now < head.opened or now - head.opened >= meta / 1024 then
    redis.call('ZADD', P .. 'marks', head.low, text(head.seq))
    head.low, head.opened = now, now
    sweep_marks(head, now, meta)
elseif now < head.low then
    head.low = now
end
head.seq, head.time, head.proof = seq, time, proof
write_head(head)

local numbers = struct.pack('<I8I8I8', seq, prev, time)
if size > 0 then
    message = numbers .. message
    bytes = bytes + #message
    local kept = P .. 'kept:' .. channel
    redis.call('XADD', kept, 'MAXLEN', size, id, 'm', message, 'b', text(bytes))
    -- Longer than need be, so that not every message has to put it off: what is too old does not count anyway (fetch.lua).
    if now + ttl > expires or expires > now + 2 * ttl then
        expires = now + ttl + math.floor(ttl / 4)
        redis.call('PEXPIREAT', kept, expires)
    end
    -- Bytes are looked at when a quarter of what may be kept has come since: a look costs as much as a publish.
    while bytes - trimmed > most / 4 do
        local oldest, cut = redis.call('XRANGE', kept, '-', '+', 'COUNT', 100), nil
        for _, entry in ipairs(oldest) do
            if bytes - tonumber(entry[2][4]) + #entry[2][2] <= most then break end
            cut = entry[1]
        end
        if cut == id then cut = oldest[#oldest - 1] and oldest[#oldest - 1][1] end      -- the newest stays, however large
        if cut then redis.call('XTRIM', kept, 'MINID', text(number_of(cut) + 1)) end
        if not cut or #oldest < 100 or cut ~= oldest[#oldest][1] then trimmed = bytes end
    end
else
    if had > 0 then redis.call('UNLINK', P .. 'kept:' .. channel) end      -- what went before must not look complete
    message, ttl, expires = numbers .. message, 0, 0
end
add_to_index(seq, ARGV[8], channel, time, proof, size > 0 and 1 or 0)
redis.call('SET', P .. 'last:' .. channel, struct.pack('<dddddd', seq, bytes, trimmed, ttl, most, expires), 'PX', math.max(meta, 2 * ttl) + 2000)
if done then
    redis.call('SET', done, ARGV[11] .. ' ' .. text(head.epoch) .. ' ' .. number .. ' ' .. text(time) .. ' ' .. ARGV[13], 'PX', ARGV[12])
end
if not known then message = struct.pack('<I8I8I8', seq, 0, time) .. string.sub(message, 25) end
redis.call('PUBLISH', P .. 'm:' .. channel, struct.pack('<I8c8', head.epoch, proof) .. message)
return { 'ok', text(head.epoch), number, text(time) }
