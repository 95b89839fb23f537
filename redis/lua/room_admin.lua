-- room_admin.lua: what a backend asks of one room (signaling/admin.c).
--
-- ARGV  7 create, change, remove, show or tell   8 1 if it says its capacity + 2 how long it stays without members + 4 metadata   9 capacity, 0: as the rule says
--       10 ms that it stays, -1: likewise   11 metadata   12 rooms there may be   13 those ms as the rule says   14 of tell: type   15 members of that frame
--       16 for whom: each 1+n, "": all
-- -> {"ok", how many were told} of tell · {"ok", name, members, away, created, capacity or "", ms that it stays or "", metadata, then of show for each
-- member, the oldest first: user, since, 1 if it is away, info, state} · {why not}
local what, says = ARGV[7], tonumber(ARGV[8])
local key = P .. 'room:' .. ROOM
local exists = redis.call('EXISTS', key) == 1

local function apply()
    if says % 2 >= 1 then
        if ARGV[9] == '0' then redis.call('HDEL', key, 'k') else redis.call('HSET', key, 'k', ARGV[9]) end
    end
    if says % 4 >= 2 then
        if ARGV[10] == '-1' then redis.call('HDEL', key, 'e') else redis.call('HSET', key, 'e', ARGV[10]) end
    end
    if says >= 4 then
        if ARGV[11] == '' or ARGV[11] == 'null' then redis.call('HDEL', key, 'm') else redis.call('HSET', key, 'm', ARGV[11]) end
    end
    redis.call('HSET', key, 's', redis.call('HGET', key, 'e') or ARGV[13])
end

local function show(with_members)
    local room = redis.call('HMGET', key, 'a', 'c', 'k', 'e', 'm')
    local reply = { 'ok', ROOM, text(redis.call('HLEN', P .. 'seats:' .. ROOM)), room[1] or '0', room[2] or '0', room[3] or '', room[4] or '', room[5] or '' }
    if not with_members then return reply end
    for _, m in ipairs(read_members(ROOM)) do
        for _, value in ipairs({ m.user, text(m.peer.since), m.seat.state == AWAY and '1' or '0', m.peer.info, m.peer.state }) do reply[#reply + 1] = value end
    end
    return reply
end

local function create()
    if exists then return { 'exists' } end
    if redis.call('ZCARD', P .. 'rooms') >= tonumber(ARGV[12]) then return { 'rooms_full' } end
    event('S', ROOM, '')
    redis.call('ZADD', P .. 'rooms', 0, ROOM)
    redis.call('HSET', key, 'c', text(now))
    apply()
    local reply = show(false)
    mind_empty(ROOM)
    return reply
end

local function change()
    apply()
    if says >= 4 then tell_all(ROOM, frame_of(UPDATED, ',"metadata":' .. (redis.call('HGET', key, 'm') or 'null'))) end
    local reply = show(false)
    if says % 4 >= 2 then mind_empty(ROOM) end
    return reply
end

-- Some may have it and others not: it is an error only when nobody has.
local function tell()
    local frame, told, err, at = { type = tonumber(ARGV[14]), by = BY_BACKEND, from = '', rest = ARGV[15] }, 0, nil, 1
    if ARGV[16] == '' then
        local busy
        told, busy = tell_all(ROOM, frame)
        err = #busy > 0 and 'busy'
    end
    while at <= #ARGV[16] do
        local user
        user, at = struct.unpack('<Bc0', ARGV[16], at)
        local seat = read_seat(ROOM, user)
        local done = seat and tell_one(ROOM, user, seat, frame)
        told, err = told + (done and 1 or 0), done and err or seat and 'busy' or 'nobody'
    end
    if told == 0 and err then return { err } end
    return { 'ok', told }
end

if what == 'create' then return create() end
if not exists then return { 'not_found' } end
if what == 'change' then return change() end
if what == 'show' then return show(true) end
if what == 'tell' then return tell() end
remove_room(ROOM)
return { 'ok' }
