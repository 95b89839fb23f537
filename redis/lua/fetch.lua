-- fetch.lua: what is kept of a set of channels and patterns, in order of number, and what they have given up (EXACT.md 3, 5-7, 19, 20).
--
-- ARGV  1 from: after · all · latest · count · time   2 epoch, 3 number of the position   4 how many, or since when (ms)
--       5 bytes, 6 messages of an answer, at least one message; 0 messages: any   7 entries of the index to look at
--       8 subject, 9 token of the echo   10 of latest: all that comes after this number too; 0: the newest alone
--       11 1: it conflates, what is left out is told   12 names and patterns, a line each: w all its messages are asked for,
--       n of latest: none from before now, - neither; then the name
-- -> {epoch, seq, 1 if the position is not of this data else 0, 1 if there is more else 0, how far it looked, `dropped` of each name, parted
--     by spaces, when it conflates the number up to which messages were left out of each, likewise, messages…} · {"none"}
--
-- Exact names: each channel's stream is read from its place, and what is found is cut to the bounds now and then, so that never more
-- than about twice an answer is held. With a pattern among them: the index is walked, at most so many entries in a call.
local from, wanted_epoch, wanted_seq, amount = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local max_bytes, max_count, looks = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local whole, conflates = tonumber(ARGV[10]), ARGV[11] == '1'
local head = read_head()
if not head then return { 'none' } end
local wall = clock()
local now = math.max(wall, head.time)

-- Of numbers that were given by a server whose newest messages are lost (proof.lua).
local function is_leapt_over(seq)
    local before = redis.call('ZRANGE', P .. 'leaps', '(' .. text(seq), '+inf', 'BYSCORE', 'LIMIT', 0, 1)[1]
    return before and seq > tonumber(before)
end
local is_foreign = wanted_epoch ~= head.epoch or wanted_seq > head.seq or is_leapt_over(wanted_seq)
local start = (is_foreign or from == 'all' or from == 'count' or from == 'time') and 0 or wanted_seq      -- wanted is what comes after it
local CHUNK = 64

-- What is asked: {name, all, none: none from before now}
local asked, is_walk = {}, string.find(ARGV[12], '*', 1, true)
for flag, name in string.gmatch(ARGV[12], '([^\n])([^\n]+)') do
    asked[#asked + 1] = { name = name, all = flag == 'w' or from ~= 'latest', none = flag == 'n' and from == 'latest', left_out = 0 }
end

local floor
local function get_floor()
    floor = floor or floor_of(head, wall)
    return floor
end

local channels = {}
local function channel_of(name)
    if not channels[name] then channels[name] = look_at(name, now, get_floor) end
    return channels[name]
end

-- {number, number before it} of the newest message of a channel; of those up to `whole`, if that is given. Number 0: there is none.
local function newest_of(name)
    local channel = channel_of(name)
    local cursor, least = whole > 0 and text(whole) or '+', text(channel.dropped + 1)
    while not channel.newest do
        local entry = redis.call('XREVRANGE', P .. 'kept:' .. name, cursor, least, 'COUNT', 1)[1]
        if not entry then channel.newest = { 0, 0 }
        elseif not is_over(entry[2][2], now) then channel.newest = { number_of(entry[1]), (struct.unpack('<I8', entry[2][2], 9)) }
        else cursor = '(' .. entry[1] end
    end
    return channel.newest
end

-- ---- what is found ----

local found, bytes, more, bound = {}, 0, false, nil      -- bound: nothing above it is in this answer

local function cut_to_bounds()
    table.sort(found, function(a, b) return a[1] < b[1] end)
    local sum, n = 0, 0
    for i, one in ipairs(found) do
        local over = sum + size_of(one[2]) > max_bytes or (max_count > 0 and n == max_count)
        if over and n > 0 then break end
        sum, n = sum + size_of(one[2]), i
    end
    if n == #found then return end
    bound = found[n + 1][1] - 1      -- one of another channel may still come between
    for i = #found, n + 1, -1 do found[i] = nil end
    more, bytes = true, sum
end

local function add_one(number, message)
    found[#found + 1] = { number, message }
    bytes = bytes + size_of(message)
end

local function add(number, message)
    add_one(number, message)
    if bytes > 2 * max_bytes or (max_count > 0 and #found > 2 * max_count) then cut_to_bounds() end
end

-- ---- exact names ----

-- The number behind which messages of a channel are asked for; nil: none is.
local function first_of(one)
    if from ~= 'latest' or one.all then return start end
    if one.none then return whole > 0 and math.max(whole, start) or nil end
    return math.max(start, newest_of(one.name)[1] - 1)
end

local function read_channel(one)
    local name, first = one.name, first_of(one)
    if not first then return end
    local cursor = text(math.max(first, channel_of(name).dropped) + 1)
    repeat
        local chunk = redis.call('XRANGE', P .. 'kept:' .. name, cursor, bound and text(bound) or '+', 'COUNT', CHUNK)
        for _, entry in ipairs(chunk) do
            local number, message = number_of(entry[1]), entry[2][2]
            cursor = '(' .. entry[1]
            if bound and number > bound then return end
            if not is_over(message, now) and (from ~= 'time' or time_of(message) >= amount) then add(number, message) end
        end
    until #chunk < CHUNK
end

-- The number before the newest `amount` messages of all of them.
local function count_back()
    local numbers = {}
    for _, one in ipairs(asked) do
        local cursor, least, taken = '+', text(channel_of(one.name).dropped + 1), 0
        repeat
            local chunk = redis.call('XREVRANGE', P .. 'kept:' .. one.name, cursor, least, 'COUNT', CHUNK)
            for _, entry in ipairs(chunk) do
                cursor = '(' .. entry[1]
                if not is_over(entry[2][2], now) then numbers[#numbers + 1] = number_of(entry[1]) taken = taken + 1 end
            end
        until #chunk < CHUNK or taken >= amount
    end
    table.sort(numbers, function(a, b) return a > b end)
    return numbers[amount] and numbers[amount] - 1 or 0
end

-- What a channel has given up; when only its newest message is given and follows, all before that is left out and nothing is worse.
local function mark_channel(one)
    local newest = conflates and not one.all and newest_of(one.name)
    if newest and newest[1] > start then one.dropped, one.left_out = 0, newest[2]
    else one.dropped = channel_of(one.name).dropped end
end

local function fetch_channels()
    for _, one in ipairs(asked) do mark_channel(one) end
    if from == 'count' then start = count_back() end
    for _, one in ipairs(asked) do read_channel(one) end
    cut_to_bounds()
    return #found > 0 and found[#found][1] or start
end

-- ---- patterns ----

local function walk_index()
    local wanted, patterns, index = {}, {}, P .. 'index'
    local oldest = redis.call('XRANGE', index, '-', '+', 'COUNT', 1)[1]
    local covered = oldest and number_of(oldest[1]) - 1 or head.seq
    for _, one in ipairs(asked) do
        if string.find(one.name, '*', 1, true) then
            patterns[#patterns + 1], one.match, one.dropped = one, matcher(one.name), covered
        else
            mark_channel(one)
            wanted[one.name] = one
            if one.left_out > 0 then one.left_out = channel_of(one.name).dropped end      -- the walk tells the rest, as far as it comes
        end
    end

    -- What a pattern is told of a channel that matches. What has no history tells no gap.
    local function mark_pattern(one, name)
        local channel = channel_of(name)
        if channel.keeps == false then return end
        local what = conflates and not one.all and newest_of(name)[1] > 0 and 'left_out' or 'dropped'
        one[what] = math.max(one[what], channel.dropped)
    end

    -- Who asks for a channel; all, some: for all its messages, for any from before now. false: nobody.
    local seen = {}
    local function who_wants(name)
        if name == '' then return false end      -- of the beginning of an epoch, or an event's
        if seen[name] ~= nil then return seen[name] end
        local who = { wanted[name] }
        for _, one in ipairs(patterns) do
            if string.find(name, one.match) then
                who[#who + 1] = one
                mark_pattern(one, name)
            end
        end
        for _, one in ipairs(who) do
            who.some = who.some or not one.none
            who.all = who.all or one.all
        end
        seen[name] = #who > 0 and who
        return seen[name]
    end

    -- Told once per channel and call, as the number before the one that follows.
    local function leave_out(who, name)
        if who.told or not conflates then return end
        who.told = true
        for _, one in ipairs(who) do
            if not one.all then one.left_out = math.max(one.left_out, newest_of(name)[2]) end
        end
    end

    -- Of an entry: false: it is not given, true: it is, nil: it is left out, because a newer one follows.
    local function is_given(who, name, number)
        if from ~= 'latest' or who.all or (whole > 0 and number > whole) then return true end
        if not who.some then return false end
        if number == newest_of(name)[1] then return true end
        return nil
    end

    -- The message of an entry, if it is given. What was kept, counts, and is not there is missing, but for what ends.
    local function message_of(number, entry)
        local name = string.sub(entry, 18)
        local who = who_wants(name)
        if not who then return nil end
        local flag, given = string.byte(entry, 17), is_given(who, name, number)
        if flag == 0 or number <= channel_of(name).dropped or given == false or (given == nil and (who.told or not conflates)) then return nil end
        local kept = redis.call('XRANGE', P .. 'kept:' .. name, text(number), text(number))[1]
        if not kept and flag == 1 then
            for _, one in ipairs(who) do one.dropped = math.max(one.dropped, number) end
        elseif kept and not is_over(kept[2][2], now) then
            if given then return kept[2][2] end
            leave_out(who, name)
        end
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
            elseif message and #found > 0 and (bytes + size_of(message) > max_bytes or (max_count > 0 and #found == max_count)) then
                more = true
            else
                if message then add_one(number, message) end
                cut = number
            end
            cursor = '(' .. entry[1]
        end
        if #chunk < step then return cut end
        looks = looks - step
    end
    more = more or #redis.call('XRANGE', index, cursor, '+', 'COUNT', 1) > 0
    return cut
end

local cut, dropped, left_out = is_walk and walk_index() or not is_walk and fetch_channels(), {}, {}
for i, one in ipairs(asked) do dropped[i], left_out[i] = text(one.dropped), text(one.left_out) end
local answer = { text(head.epoch), text(head.seq), is_foreign and 1 or 0, more and 1 or 0, text(cut), table.concat(dropped, ' '),
                 conflates and table.concat(left_out, ' ') or '' }
for i, one in ipairs(found) do answer[7 + i] = one[2] end
echo(ARGV[8], head, ARGV[9])
return answer
