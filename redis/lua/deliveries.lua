-- deliveries.lua: what became of events, for whoever asks: a list, one delivery, or one event.
--
-- ARGV  1 o the oldest first, n the newest first, e event 12 and its deliveries, 1 one delivery   2 behind this key, "" from the start; the one
--       3 endpoint, "" all   4 statuses, a bit for each, 0 all   5 channel, "" all   6 since, 7 until: of the event's time, both included, 0 no bound
--       8 how many   9 how many to look at   10 bytes, at least one of them   11 "1" with messages   12 number of an event, 0 all
-- -> {1 if there may be more, key that was looked at last, what event 12 is, its message, then of each four: key, delivery, what it is, message}
local kind, after, endpoint, statuses, channel = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local since, till, most, looks, max_bytes, event = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[12])
local HOUR = 3600000
local answer, n, bytes, is_falling = { 0, after, '', '' }, 0, 0, kind == 'n'

local function is_wanted(d, about)
    local _, _, time, name = struct.unpack('<BI8dBc0', about)
    return (endpoint == '' or d.endpoint == endpoint) and (statuses == 0 or math.floor(statuses / 2 ^ d.status) % 2 == 1)
           and (channel == '' or name == channel) and (since == 0 or time >= since) and (till == 0 or time <= till)
end

local function add(key, packed, about, message)
    n, bytes = n + 1, bytes + #packed + #about + #message
    for _, part in ipairs({ key, packed, about, message }) do answer[#answer + 1] = part end
end

-- False: that is enough.
local function look_at(key, d, packed, about, message)
    if n == most or (n > 0 and bytes >= max_bytes) or looks == 0 then
        answer[1] = 1
        return false
    end
    looks, answer[2] = looks - 1, key
    if is_wanted(d, about) then add(key, packed, about, ARGV[11] == '1' and message or '') end
    return true
end

local function is_behind(key) return after == '' or (is_falling and key < after) or (not is_falling and key > after) end

-- Deliveries of an entry of the stream, in their order. False: that is enough.
local function look_at_event(entry)
    local seq, targets = number_of(entry[1]), redis.call('HKEYS', P .. 'event:' .. text(number_of(entry[1])))
    for i, target in ipairs(targets) do targets[i] = tonumber(target) end
    table.sort(targets, function(a, b) return is_falling and a > b or not is_falling and a < b end)
    for _, target in ipairs(targets) do
        local key, d, packed = key_of(seq, target), read_delivery(seq, target)
        if is_behind(key) and not look_at(key, d, packed, entry[2][2], entry[2][4]) then return false end
    end
    return true
end

-- What comes after it happened before: `since` ends a list with the newest first. An hour for clocks that were set back meanwhile.
local function is_too_old(entry)
    local _, _, time = struct.unpack('<BI8d', entry[2][2])
    return is_falling and since > 0 and time < since - HOUR
end

local function walk_events()
    local CHUNK, at = 64, after ~= '' and text((struct.unpack('>I8', after))) or nil
    while true do
        local entries
        if is_falling then
            entries = redis.call('XREVRANGE', P .. 'events', at or '+', '-', 'COUNT', CHUNK)
        else
            entries = redis.call('XRANGE', P .. 'events', at or '-', '+', 'COUNT', CHUNK)
        end
        for _, entry in ipairs(entries) do
            if is_too_old(entry) or not look_at_event(entry) then return end
            at, looks = '(' .. entry[1], looks - 1      -- there are events that are for nobody
            if looks <= 0 then
                answer[1], answer[2] = 1, key_of(number_of(entry[1]), is_falling and 0 or 255)
                return
            end
        end
        if #entries < CHUNK then return end
    end
end

local function walk_dead()
    local key, found = P .. (endpoint == '' and 'dead' or 'dead:' .. endpoint), nil
    if is_falling then
        found = redis.call('ZRANGE', key, after == '' and '+' or '(' .. after, '-', 'BYLEX', 'REV', 'LIMIT', 0, looks + 1)
    else
        found = redis.call('ZRANGE', key, after == '' and '-' or '(' .. after, '+', 'BYLEX', 'LIMIT', 0, looks + 1)
    end
    for _, one in ipairs(found) do
        local seq, target = struct.unpack('>I8B', one)
        local d, packed = read_delivery(seq, target)
        local about = d and read_event(seq)
        if about and not look_at(one, d, packed, about[1], about[2]) then return end
    end
end

local function show_event()
    local entry = redis.call('XRANGE', P .. 'events', text(event), text(event))[1]
    if not entry then return end
    answer[3], answer[4] = entry[2][2], entry[2][4]
    look_at_event(entry)
end

if kind == '1' then
    local seq, target = struct.unpack('>I8B', after)
    local d, packed = read_delivery(seq, target)
    local about = d and read_event(seq)
    if about then add(after, packed, about[1], ARGV[11] == '1' and about[2] or '') end
elseif kind == 'e' then
    show_event()
elseif event > 0 then
    local entry = redis.call('XRANGE', P .. 'events', text(event), text(event))[1]
    if entry then look_at_event(entry) end
elseif statuses == 2 ^ DEAD then
    walk_dead()
else
    walk_events()
end
return answer
