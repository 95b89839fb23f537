-- member.lua: stands behind age.lua and change.lua before scripts that know of members (redis_members.h).
--
--   users:C    sorted set, all of score 0: the members of channel C, by user
--   members:C  hash, of each user: since when 8 · 1 if subscribers are told + 2 if webhooks may be · then how it stands in each lease: lease 8 · connections 4 · when the
--              newest of them came 8 · info 4+n. In its grace: one standing of lease 0, without connections
--   leaving    sorted set: members in their grace (a byte of length and the channel, user), by the age at which it ends
--   held:L     of age.lua
local function read_member(channel, user)
    local packed = redis.call('HGET', P .. 'members:' .. channel, user)
    if not packed then return nil end
    local member, at = {}, nil
    member.since, member.tells, at = struct.unpack('<I8B', packed)
    while at <= #packed do
        local standing = {}
        standing.lease, standing.connections, standing.came, standing.info, at = struct.unpack('<I8I4I8I4c0', packed, at)
        member[#member + 1] = standing
    end
    return member
end

local function write_member(channel, user, member)
    local packed = { struct.pack('<I8B', member.since, member.tells) }
    for i, s in ipairs(member) do packed[i + 1] = struct.pack('<I8I4I8I4c0', s.lease, s.connections, s.came, #s.info, s.info) end
    redis.call('HSET', P .. 'members:' .. channel, user, table.concat(packed))
end

local function newest_of(member)
    local newest = member[1]
    for _, s in ipairs(member) do if s.came > newest.came then newest = s end end
    return newest
end

local function note_member(wants, what, channel, user, member)
    if member.tells >= 2 then note(wants, what, channel, user, newest_of(member).info) end
end

local function tell(what, channel, user, member)
    if member.tells % 2 == 0 then return end
    local info = newest_of(member).info
    redis.call('PUBLISH', P .. 'words', 'p' .. what .. struct.pack('<Bc0Bc0I4c0', #channel, channel, #user, user, #info, info))
end

-- The standing of this lease, taken out; nil: it has none there.
local function take_standing(member, lease)
    for i, s in ipairs(member) do
        if s.lease == lease then return table.remove(member, i) end
    end
end

local function leaves(channel, user) return struct.pack('<Bc0', #channel, channel) .. user end

local function remove_member(wants, channel, user, member)
    note_member(wants, 'l', channel, user, member)
    redis.call('HDEL', P .. 'members:' .. channel, user)
    redis.call('ZREM', P .. 'users:' .. channel, user)
    tell('l', channel, user, member)
end

-- Its last standing was taken out: it leaves when its grace is over, and not before things are calm.
local function begin_grace(wants, channel, user, member, last, age, calm, grace)
    member[1] = { lease = 0, connections = 0, came = last.came, info = last.info }
    if grace == 0 and age >= calm then return remove_member(wants, channel, user, member) end
    redis.call('ZADD', P .. 'leaving', text(math.max(age + grace, calm)), leaves(channel, user))
    write_member(channel, user, member)
end

-- ms until the next grace ends, nil: none runs.
local function next_leave(age)
    local first = redis.call('ZRANGE', P .. 'leaving', 0, 0, 'WITHSCORES')
    return first[2] and text(math.max(tonumber(first[2]) - age, 0))
end
