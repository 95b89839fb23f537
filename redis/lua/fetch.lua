-- fetch.lua: what is kept of a set of channels and patterns, in order of number, and what they have given up (EXACT.md 3, 5-7, 19, 20).
--
-- ARGV  1 from: after · all · latest · count · time   2 epoch, 3 number of the position   4 how many, or since when (ms)
--       5 bytes, 6 messages of an answer, at least one message; 0 messages: any   7 META   8 entries of the index to look at
--       9 subject, 10 token of the echo   11 of latest: all that comes after this number too; 0: the newest alone
--       12 names and patterns, a line each
-- -> {epoch, seq, 1 if there is more else 0, how far it looked, `dropped` of each name, parted by spaces, messages…} · {"none"}
--
-- Exact names: each channel's stream is read from its place, and what is found is cut to the bounds now and then, so that never more
-- than about twice an answer is held. With a pattern among them: the index is walked, at most so many entries in a call.
-- What is too old or too much for its channel does not count, and is trimmed when it is met.
local from, wanted_epoch, wanted_seq, amount = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local max_bytes, max_count, meta, looks = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local head = read_head()
if not head then return { 'none' } end
local wall = clock()
local now = math.max(wall, head.time)
local is_foreign = wanted_epoch ~= head.epoch or wanted_seq > head.seq
local start = (is_foreign or from == 'all' or from == 'count' or from == 'time') and 0 or wanted_seq      -- wanted is what comes after it
local whole = tonumber(ARGV[11])
local CHUNK = 64

local function time_of(message) return (struct.unpack('<I8', message, 17)) end
local function is_over(message)      -- by its own ttl: that is no gap
    return string.byte(message, 29) >= 128 and time_of(message) + struct.unpack('<I8', message, 33) <= now
end

local floor
local function get_floor()
    floor = floor or floor_of(head, wall, meta)
    return floor
end

-- What a channel has: last, dropped; keeps: it had history when it was last published to.
local function look_at(name)
    local known = redis.call('GET', P .. 'last:' .. name)
    if not known then return { last = 0, dropped = get_floor() } end
    local last, bytes, _, ttl, most = struct.unpack('<ddddd', known)
    local channel, kept, step, cut = { last = last, dropped = last, keeps = ttl > 0 }, P .. 'kept:' .. name, 1, nil
    while ttl > 0 do
        local oldest = redis.call('XRANGE', kept, cut and '(' .. cut or '-', '+', 'COUNT', step)
        for _, entry in ipairs(oldest) do
            local message = entry[2][2]
            if now - time_of(message) < ttl and (bytes - tonumber(entry[2][4]) + #message <= most or number_of(entry[1]) == last) then
                channel.dropped = struct.unpack('<I8', message, 9)
                ttl = 0
                break
            end
            cut = entry[1]
        end
        if #oldest < step then break end
        step = CHUNK
    end
    if cut then redis.pcall('XTRIM', kept, 'MINID', text(number_of(cut) + 1)) end
    return channel
end

local channels = {}
local function channel_of(name)
    if not channels[name] then channels[name] = look_at(name) end
    return channels[name]
end

-- ---- what is found ----

local found, bytes, more, bound = {}, 0, false, nil      -- bound: nothing above it is in this answer

-- What a message costs the one who asks, about.
local function cost(message) return #message + 64 end

local function cut_to_bounds()
    table.sort(found, function(a, b) return a[1] < b[1] end)
    local sum, n = 0, 0
    for i, one in ipairs(found) do
        local over = sum + cost(one[2]) > max_bytes or (max_count > 0 and n == max_count)
        if over and n > 0 then break end
        sum, n = sum + cost(one[2]), i
    end
    if n == #found then return end
    for i = #found, n + 1, -1 do found[i] = nil end
    more, bytes, bound = true, sum, found[n][1]
end

local function add_one(number, message)
    found[#found + 1] = { number, message }
    bytes = bytes + cost(message)
end

local function add(number, message)
    add_one(number, message)
    if bytes > 2 * max_bytes or (max_count > 0 and #found > 2 * max_count) then cut_to_bounds() end
end

-- ---- exact names ----

-- The number of the newest message of a channel; of those up to `whole`, if that is given.
local function newest_of(name, channel)
    if whole == 0 then return channel.last end
    if not channel.newest then
        local newest = redis.call('XREVRANGE', P .. 'kept:' .. name, text(whole), '-', 'COUNT', 1)[1]
        channel.newest = newest and number_of(newest[1]) or 0
    end
    return channel.newest
end

local function read_channel(name, channel)
    local first = start
    if from == 'latest' then first = math.max(start, newest_of(name, channel) - 1) end
    local cursor = text(math.max(first, channel.dropped) + 1)
    repeat
        local chunk = redis.call('XRANGE', P .. 'kept:' .. name, cursor, bound and text(bound) or '+', 'COUNT', CHUNK)
        for _, entry in ipairs(chunk) do
            local number, message = number_of(entry[1]), entry[2][2]
            cursor = '(' .. entry[1]
            if bound and number > bound then return end
            if not is_over(message) and (from ~= 'time' or time_of(message) >= amount) then add(number, message) end
        end
    until #chunk < CHUNK
end

-- The number before the newest `amount` messages of all of them.
local function count_back(names)
    local numbers = {}
    for _, name in ipairs(names) do
        local cursor, least, taken = '+', text(channel_of(name).dropped + 1), 0
        repeat
            local chunk = redis.call('XREVRANGE', P .. 'kept:' .. name, cursor, least, 'COUNT', CHUNK)
            for _, entry in ipairs(chunk) do
                cursor = '(' .. entry[1]
                if not is_over(entry[2][2]) then numbers[#numbers + 1] = number_of(entry[1]) taken = taken + 1 end
            end
        until #chunk < CHUNK or taken >= amount
    end
    table.sort(numbers, function(a, b) return a > b end)
    return numbers[amount] and numbers[amount] - 1 or 0
end

local function fetch_channels(names)
    local dropped = {}
    for i, name in ipairs(names) do dropped[i] = channel_of(name).dropped end
    if from == 'count' then start = count_back(names) end
    for _, name in ipairs(names) do
        read_channel(name, channel_of(name))
    end
    cut_to_bounds()
    return dropped, #found > 0 and found[#found][1] or start
end

-- ---- patterns ----

-- `*` is one segment, `**` at the end one or more; a segment may be empty.
local function matcher(name)
    local pattern = string.gsub(name, '[^%w]', '%%%0')
    pattern = string.gsub(pattern, '%%%*%%%*', '.*')
    return '^' .. string.gsub(pattern, '%%%*', '[^.]*') .. '$'
end

local function walk_index(names)
    local dropped, wanted, index = {}, {}, P .. 'index'
    local oldest = redis.call('XRANGE', index, '-', '+', 'COUNT', 1)[1]
    local covered = oldest and number_of(oldest[1]) - 1 or head.seq
    local patterns = {}
    for i, name in ipairs(names) do
        if string.find(name, '*', 1, true) then patterns[#patterns + 1], dropped[i] = { i, matcher(name) }, covered
        else wanted[name], dropped[i] = { exact = true }, channel_of(name).dropped end
    end

    local seen = {}
    -- false, or which patterns match it (none: it is wanted by its name).
    local function who_wants(name)
        if seen[name] ~= nil then return seen[name] end
        local who = {}
        for _, pattern in ipairs(patterns) do
            if string.find(name, pattern[2]) then who[#who + 1] = pattern[1] end
        end
        seen[name] = (#who > 0 or wanted[name]) and name ~= '' and who
        if seen[name] then
            local channel = channel_of(name)
            for _, i in ipairs(who) do
                if channel.keeps ~= false then dropped[i] = math.max(dropped[i], channel.dropped) end      -- what has no history tells no gap
            end
        end
        return seen[name]
    end

    -- The message of an entry, if it is given. What was kept, counts, and is not there is missing.
    local function message_of(number, entry)
        local name = string.sub(entry, 18)
        local who = who_wants(name)
        if not who then return nil end
        local channel = channel_of(name)
        if string.byte(entry, 17) == 0 or number <= channel.dropped then return nil end
        if from == 'latest' and number ~= newest_of(name, channel) and (whole == 0 or number <= whole) then return nil end
        local kept = redis.call('XRANGE', P .. 'kept:' .. name, text(number), text(number))[1]
        if kept then return not is_over(kept[2][2]) and kept[2][2] or nil end
        for _, i in ipairs(who) do dropped[i] = math.max(dropped[i], number) end
        return nil
    end

    local function back_to_count()
        local cursor, n, left = '+', 0, 4 * looks
        repeat
            local chunk = redis.call('XREVRANGE', index, cursor, '-', 'COUNT', 256)
            for _, entry in ipairs(chunk) do
                cursor = '(' .. entry[1]
                if message_of(number_of(entry[1]), entry[2][2]) then n = n + 1 end
                if n == amount then return number_of(entry[1]) - 1 end
            end
            left = left - #chunk
        until #chunk < 256 or left <= 0
        return left <= 0 and number_of(string.sub(cursor, 2)) - 1 or 0
    end

    local function back_to_time()
        local low, high = covered, head.seq      -- what is wanted lies above low; none above high is too early
        while low < high do
            local middle = math.floor((low + high) / 2)
            local entry = redis.call('XRANGE', index, text(middle + 1), '+', 'COUNT', 1)[1]
            if not entry or struct.unpack('<I8', entry[2][2]) >= amount then high = middle else low = number_of(entry[1]) end
        end
        return low
    end

    if from == 'count' then start = back_to_count() elseif from == 'time' then start = back_to_time() end
    -- Behind the cut it looks on, as far as it may, for channels that have given something up: a gap is told as early as can be.
    local cursor, cut, step = text(start + 1), start, 256
    while looks > 0 do
        step = math.min(step, looks)
        local chunk = redis.call('XRANGE', index, cursor, '+', 'COUNT', step)
        for _, entry in ipairs(chunk) do
            local number = number_of(entry[1])
            local message = not more and message_of(number, entry[2][2])
            if more then
                who_wants(string.sub(entry[2][2], 18))
            elseif message and #found > 0 and (bytes + cost(message) > max_bytes or (max_count > 0 and #found == max_count)) then
                more = true
            else
                if message then add_one(number, message) end
                cut = number
            end
            cursor = '(' .. entry[1]
        end
        if #chunk < step then return dropped, cut end
        looks = looks - step
    end
    more = more or #redis.call('XRANGE', index, cursor, '+', 'COUNT', 1) > 0
    return dropped, cut
end

local names, is_walk = {}, string.find(ARGV[12], '*', 1, true)
for name in string.gmatch(ARGV[12], '[^\n]+') do names[#names + 1] = name end
local dropped, cut
if is_walk then dropped, cut = walk_index(names) else dropped, cut = fetch_channels(names) end
for i, number in ipairs(dropped) do dropped[i] = text(number) end
local answer = { text(head.epoch), text(head.seq), more and 1 or 0, text(cut), table.concat(dropped, ' ') }
for i, one in ipairs(found) do answer[5 + i] = one[2] end
echo(ARGV[9], head, ARGV[10])
return answer
