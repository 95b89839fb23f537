-- due.lua: what an endpoint is to be sent now, in the order in which it is due.
--
-- ARGV  1 endpoint   2 due up to this   3 after this time, 4 and this key; "" from the start   5 how many   6 bytes, at least one of them
-- -> {1 if there is more, when the next one is due: "" none is, then of each four: key, delivery, what it is, message (queue.lua)}
local key, most, max_bytes = P .. 'due:' .. ARGV[1], tonumber(ARGV[5]), tonumber(ARGV[6])
local head = read_head()
local upto, from = math.max(tonumber(ARGV[2]), queue_clock(), head and head.time or 0), 0

-- The place behind the last one that was read, whether that is still there or not.
if ARGV[4] ~= '' then
    local mark = ARGV[4] .. '\0'
    redis.call('ZADD', key, ARGV[3], mark)
    from = redis.call('ZRANK', key, mark)
    redis.call('ZREM', key, mark)
end

local answer, bytes, n = { 0, '' }, 0, 0
local found = redis.call('ZRANGE', key, text(from), text(from + most), 'WITHSCORES')
for i = 1, #found, 2 do
    local at, due = found[i], tonumber(found[i + 1])
    local seq, target = struct.unpack('>I8B', at)
    local d, packed = read_delivery(seq, target)
    local event = d and read_event(seq)
    if due > upto then
        answer[2] = text(due)
        break
    elseif n == most or (n > 0 and bytes >= max_bytes) then
        answer[1] = 1
        break
    elseif event then
        n, bytes = n + 1, bytes + #packed + #event[1] + #event[2]
        for _, part in ipairs({ at, packed, event[1], event[2] }) do answer[#answer + 1] = part end
    else
        redis.call('ZREM', key, at)      -- Redis has thrown it away (maxmemory-policy)
    end
end
return answer
