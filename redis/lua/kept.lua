-- kept.lua: behind common.lua, before scripts that look at what channels keep: what counts of it. What is too old or too much, or has
-- ended by its own ttl, does not, though it may be there still; it is trimmed when it is met at the old end.

local function is_over(message, now)
    local ends = end_of(message)
    return ends > 0 and ends <= now
end

-- The number up to which a channel has given up messages.
local function given_up(name, k, now)
    local kept, step, cut, gone = P .. 'kept:' .. name, 1, nil, k.gone
    local function fits(entry)
        local message = entry[2][2]
        return now - time_of(message) < k.ttl and (k.bytes - tonumber(entry[2][4]) + size_of(message) <= k.most or number_of(entry[1]) == k.last)
    end
    -- Further than some messages: the further back the older, and the more bytes. So where it begins to count is found by halving.
    local function skip()
        local low, high = number_of(cut), k.last
        while high > low + 1 do
            local middle = math.floor((low + high) / 2)
            local entry = redis.call('XRANGE', kept, text(middle), '+', 'COUNT', 1)[1]
            if entry and not fits(entry) then low = number_of(entry[1]) else high = middle end
        end
        cut = text(low) .. '-0'
    end
    local function trim()
        if cut then redis.pcall('XTRIM', kept, 'MINID', text(number_of(cut) + 1)) end
        if gone == k.gone then return end
        k.gone = gone
        redis.pcall('SET', P .. 'last:' .. name, pack_known(k), 'KEEPTTL')
    end
    repeat
        local oldest = redis.call('XRANGE', kept, cut and '(' .. cut or '-', '+', 'COUNT', step)
        for _, entry in ipairs(oldest) do
            local message = entry[2][2]
            local over = is_over(message, now)
            if fits(entry) and not over then
                trim()
                return gone > 0 and gone or struct.unpack('<I8', message, 9)
            end
            if gone > 0 and not over then gone = number_of(entry[1]) end
            cut = entry[1]
        end
        local is_end = #oldest < step
        if not is_end and step > 1 and gone == 0 then skip() end
        step = 64
    until is_end
    trim()
    -- Nothing that counts is left. When the whole stream has expired nobody has noted what it had.
    if gone > 0 and now < k.expires then return gone end
    return math.max(gone, k.passed > 0 and k.passed <= now and k.firm or k.last)
end

-- {last, dropped, and of a channel that is known: keeps: it had history when it was last published to; ends: some of it may}
local function look_at(name, now, floor)
    local k = read_known(name)
    if not k then return { last = 0, dropped = floor() } end
    if k.ttl == 0 then return { last = k.last, dropped = k.last, keeps = false } end
    return { last = k.last, dropped = given_up(name, k, now), keeps = true, ends = k.first_end > 0 }
end

-- How much of it counts: messages and bytes; nil: nothing. What has ended by its own ttl is looked for among the oldest MOST.
local function kept_of(name, now)
    local k, kept, MOST = read_known(name), P .. 'kept:' .. name, 1024
    if not k or k.ttl == 0 then return nil end
    given_up(name, k, now)
    local oldest = redis.call('XRANGE', kept, '-', '+', 'COUNT', 1)[1]
    if not oldest then return nil end
    local messages, bytes = redis.call('XLEN', kept), k.bytes - tonumber(oldest[2][4]) + size_of(oldest[2][2])
    if k.first_end > 0 and k.first_end <= now then
        for _, entry in ipairs(redis.call('XRANGE', kept, '-', '+', 'COUNT', MOST)) do
            if is_over(entry[2][2], now) then messages, bytes = messages - 1, bytes - size_of(entry[2][2]) end
        end
    end
    return { messages = messages, bytes = bytes }
end
