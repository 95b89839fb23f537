-- trim.lua: events that are kept no longer go, with what became of them; never one of which something is pending.
--
-- ARGV  1 what has arrived of events before this, 2 and their dead letters before this   3 bytes of all   4 number after which to look: of a round
--       that goes from the oldest event to the first that is young enough   5 "1" dead letters go too to make room   6 how many to look at
-- -> {dead letters that went, number up to which it looked: "0" the round has ended, 1 if there are still too many bytes else 0, bytes now,
--     times of events: the oldest of those that are the next to be sent to their endpoints, of the oldest dead letter: "0" there is none}
local delivered_before, dead_before, max_bytes, looks = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[6])
local bytes, dropped, upto = tonumber(redis.call('HGET', P .. 'queue', 'bytes') or 0), 0, ARGV[4]
local young = math.max(delivered_before, dead_before)

local function deliveries_of(seq)
    local found = {}
    for _, target in ipairs(redis.call('HKEYS', P .. 'event:' .. text(seq))) do
        local d = read_delivery(seq, target)
        found[#found + 1] = { key_of(seq, tonumber(target)), d }
    end
    return found
end

local function look_at(entry)
    local seq, _, _, time = number_of(entry[1]), struct.unpack('<BI8d', entry[2][2])
    local found, is_over, dead, size = deliveries_of(seq), bytes > max_bytes, 0, #entry[2][4]
    for _, one in ipairs(found) do
        if one[2].status == PENDING then return end
        dead, size = dead + (one[2].status == DEAD and 1 or 0), size + #one[2].attempts
    end
    local may_go
    if dead == 0 then may_go = is_over or time < delivered_before
    else may_go = (is_over and ARGV[5] == '1') or time < dead_before end
    if not may_go then return end
    for _, one in ipairs(found) do take_off(one[1], one[2]) end
    redis.call('UNLINK', P .. 'event:' .. text(seq))
    redis.call('XDEL', P .. 'events', entry[1])
    count('bytes', -size)
    bytes, dropped = bytes - size, dropped + dead
end

local entries = redis.call('XRANGE', P .. 'events', '(' .. upto .. '-0', '+', 'COUNT', looks)
for _, entry in ipairs(entries) do
    local _, _, time = struct.unpack('<BI8d', entry[2][2])
    if time >= young and bytes <= max_bytes then
        upto = '0'
        break
    end
    look_at(entry)
    upto = text(number_of(entry[1]))
end
if #entries < looks then upto = '0' end

local function time_of(key)
    local id = key and text((struct.unpack('>I8', key))) .. '-0'
    local entry = id and redis.call('XRANGE', P .. 'events', id, id)[1]
    if not entry then return 0 end
    local _, _, time = struct.unpack('<BI8d', entry[2][2])
    return time
end

-- Which is the oldest of all that are pending nothing here knows; it is the next one when the queue is as it should be.
local function oldest_head()
    local oldest, queue = 0, redis.call('HGETALL', P .. 'queue')
    for i = 1, #queue, 2 do
        local endpoint = #queue[i] == 17 and string.sub(queue[i], 1, 1) == 'p' and string.sub(queue[i], 2)
        local time = endpoint and time_of(redis.call('ZRANGE', P .. 'due:' .. endpoint, 0, 0)[1]) or 0
        if time > 0 and (oldest == 0 or time < oldest) then oldest = time end
    end
    return oldest
end

local dead = redis.call('ZRANGE', P .. 'dead', '-', '+', 'BYLEX', 'LIMIT', 0, 1)[1]
return { text(dropped), upto, bytes > max_bytes and 1 or 0, text(bytes), text(oldest_head()), text(time_of(dead)) }
