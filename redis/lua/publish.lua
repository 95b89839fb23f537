-- publish.lua: one message gets its number, is kept, and goes out to the nodes; all of it or nothing (EXACT.md 1, 2, 5, 18, 20).
--
-- ARGV  1 channel   2 the message as store_block.h has it, without seq, prev and time   3 proof: 8 random bytes
--       4 messages, 5 ms, 6 bytes that the channel may keep; 0 messages: none is kept
--       7 META: ms for which a channel's newest number is known   8 length of the index
--       9 condition: "" none; "none" the channel has no message; "EPOCH SEQ" its newest is this one
--       10 digest of the idempotency key, "" none   11 of the content   12 ms for which that is known   13 subscribers, for a replay
--       14 whom it is an event for (queue.lua), "" nobody
-- -> {"ok", epoch, seq, time} · {"replay", epoch, seq, time, subscribers} · {"reused"} · {"changed", epoch, seq; 0: no message} · {"none"} · {"memory"}
--    PUBLISH P"m:"channel: epoch 8 · proof 8 · seq 8 · prev 8 · time 8 · message. prev is 0 when nothing was known of the channel: its
--    floor, which is what the kept message has, is nothing that a listener could have missed.
local channel, message, proof, size, ttl, most, meta = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
if message == '' then return { 'memory' } end      -- the node had none to write it down
local head, head_before = read_head()
if not head then return { 'none' } end

local first = first_of_key(ARGV[10], ARGV[11])
if first then return first end

local k = read_known(channel)
local known = k ~= nil
if ARGV[9] ~= '' then
    local met = ARGV[9] == 'none' and not known or known and ARGV[9] == text(head.epoch) .. ' ' .. text(k.last)
    if not met then return { 'changed', text(head.epoch), text(known and k.last or 0) } end
end

local now = clock()
local time, seq = math.max(now, head.time), head.seq + 1
k = k or new_known(floor_of(head, now))
local prev = math.max(k.last, k.gone)
local number = text(seq)
local id = number .. '-0'
if head.due == 0 then
    head.due, head.opened = now + meta, now
elseif now < head.opened or now - head.opened >= meta / 1024 then
    redis.call('ZADD', P .. 'marks', head.due, text(head.seq))
    head.due, head.opened = now + meta, now
    sweep_marks(head, now)
else
    head.due = math.min(head.due, now + meta)
end
head.seq, head.time, head.proof = seq, time, proof
write_head(head)

-- What has ended by its own ttl makes room before others have to go. It is looked for among the oldest, and for what lies further on not
-- with every message.
local SWEEP = 256
local function sweep(kept)
    local oldest, ended, first = redis.call('XRANGE', kept, '-', '+', 'COUNT', SWEEP), {}, 0
    for _, entry in ipairs(oldest) do
        local ends = end_of(entry[2][2])
        if ends > 0 and ends <= time then ended[#ended + 1] = entry[1]
        elseif ends > 0 then first = first == 0 and ends or math.min(first, ends) end
    end
    if #ended > 0 then redis.call('XDEL', kept, unpack(ended)) end
    if #oldest == SWEEP then first = first == 0 and time + 1000 or math.min(first, time + 1000) end
    k.first_end = first
end

-- These go, from the oldest on, and with them the promise that nothing is missing behind them.
local function give_up(kept, entries)
    for _, entry in ipairs(entries) do
        if k.gone > 0 and not is_over(entry[2][2], time) then k.gone = number_of(entry[1]) end
    end
    if #entries > 0 then redis.call('XTRIM', kept, 'MINID', text(number_of(entries[#entries][1]) + 1)) end
end

-- Bytes are looked at when a quarter of what may be kept has come since: a look costs as much as a publish.
local function trim_bytes(kept)
    while k.bytes - k.trimmed > most / 4 do
        local oldest, cut = redis.call('XRANGE', kept, '-', '+', 'COUNT', 100), {}
        for _, entry in ipairs(oldest) do
            if entry[1] == id or k.bytes - tonumber(entry[2][4]) + size_of(entry[2][2]) <= most then break end      -- the newest stays, however large
            cut[#cut + 1] = entry
        end
        give_up(kept, cut)
        if #cut < 100 then k.trimmed = k.bytes end
    end
end

-- Of a channel where `gone` says what was given up, room for one more.
local function trim_count(kept)
    if k.first_end > 0 and k.first_end <= time and redis.call('XLEN', kept) >= size then sweep(kept) end
    local over = redis.call('XLEN', kept) - size + 1
    while over > 0 do
        local oldest = redis.call('XRANGE', kept, '-', '+', 'COUNT', math.min(over, 100))
        give_up(kept, oldest)
        over = #oldest > 0 and over - #oldest or 0
    end
end

local function keep(kept, ends)
    if ends > 0 and k.gone == 0 then k.gone = known and given_up(channel, k, time) or prev end
    if k.gone > 0 then trim_count(kept) end
    k.bytes = k.bytes + size_of(message)
    if failure(redis.pcall('XADD', kept, 'MAXLEN', size, id, 'm', message, 'b', text(k.bytes))) ~= '' then
        redis.call('UNLINK', kept)      -- a history of numbers that are lost, and with them what came after it
        redis.call('XADD', kept, 'MAXLEN', size, id, 'm', message, 'b', text(k.bytes))
        k.expires = 0
    end
    -- Longer than need be, so that not every message has to put it off: what is too old does not count anyway (kept.lua).
    if now + ttl > k.expires or k.expires > now + 2 * ttl then
        if k.expires <= now then      -- it has just begun
            redis.call('ZADD', P .. 'names', 0, channel)
            if seq % 8 == 0 then sweep_names(16) end
        end
        k.expires = now + ttl + math.floor(ttl / 4)
        redis.call('PEXPIREAT', kept, k.expires)
    end
    trim_bytes(kept)
    k.last, k.ttl, k.most = seq, ttl, most
    if ends > 0 then
        k.passed, k.first_end = math.max(k.passed, ends), k.first_end == 0 and ends or math.min(k.first_end, ends)
    else
        k.firm, k.passed = seq, 0
    end
end

message = struct.pack('<I8I8I8', seq, prev, time) .. message
local ends = end_of(message)

-- Who may not write streams has done nothing. Otherwise numbers and index agree from here on, whatever else may not be done.
local why = failure(add_to_index(seq, ARGV[8], channel, time, proof, size == 0 and 0 or ends > 0 and 2 or 1))
if why ~= '' then
    redis.call('SET', P .. 'head', head_before)
    return is_forbidden(why) and not_allowed('XADD') or { 'none' }      -- numbers are behind the index: proof.lua
end

if size > 0 then
    keep(P .. 'kept:' .. channel, ends)
else
    if k.ttl > 0 then redis.call('UNLINK', P .. 'kept:' .. channel) end      -- what went before must not look complete
    k, ttl = new_known(seq), 0
end
redis.call('SET', P .. 'last:' .. channel, pack_known(k), 'PX', math.max(meta, 2 * ttl) + 2000)
remember_key(ARGV[10], ARGV[11], ARGV[12], head, ARGV[13])
if ARGV[14] ~= '' then keep_event(head, channel, message, ARGV[14]) end
if not known then message = struct.pack('<I8I8I8', seq, 0, time) .. string.sub(message, 25) end
redis.call('PUBLISH', P .. 'm:' .. channel, struct.pack('<I8c8', head.epoch, proof) .. message)
return { 'ok', text(head.epoch), number, text(time) }
