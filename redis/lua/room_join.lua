-- room_join.lua: somebody comes into a room: for the first time, back with a ticket, anew with a ticket, or in the place of himself
-- (signaling/join.c).
--
-- ARGV  7 user, "": the ticket says   8 "1" credentials say who it is   9 info   10 state   11 number of its ticket, "" none   12 secret of that 16
--       13 last_seq, "" none   14 "1" begin anew   15 secret for a new ticket 16   16 "1" may open a room
--       17 capacity 8 · rooms there may be 8 · grace 8 · ms that a room stays without members 8, as the rule of the room says
-- -> {"ok", user, number, seq, n, those missing below (a bit each), secret, 1 if it has come back, 1 if nothing is missing, metadata, the others as JSON, entries to tell again …} · {why not}
local lease, node, connection = ARGV[3], ARGV[4], ARGV[5]
local user, proven = ARGV[7], ARGV[8] == '1'
local capacity, most, grace, stays = struct.unpack('<dddd', ARGV[17])
local room_key = P .. 'room:' .. ROOM

local function others_of(own, seat)
    local others = {}
    for _, m in ipairs(read_members(ROOM)) do
        if m.user ~= own then
            others[#others + 1] = '{"user_id":' .. json(m.user) .. ',"info":' .. or_null(m.peer.info) .. ',"state":' .. or_null(m.peer.state)
                .. (seat.number > m.seat.number and ',"polite":true' or ',"polite":false') .. (m.seat.state == AWAY and ',"away":true}' or '}')
        end
    end
    return table.concat(others, ',')
end

local function joined(own, seat, secret, resumed, recovered, again)
    local reply = { 'ok', own, text(seat.number), text(seat.seq), text(seat.n), text(seat.missing), secret, resumed, recovered, redis.call('HGET', room_key, 'm') or '', others_of(own, seat) }
    for _, entry in ipairs(again) do reply[#reply + 1] = entry end
    return reply
end

local function sit_down(own, seat)
    seat.node, seat.lease, seat.connection, seat.state, seat.grace = node, lease, connection, PRESENT, grace
    redis.call('HSET', P .. 'sat:' .. lease, sat_field(connection, ROOM), own)
    write_seat(ROOM, own, seat)
end

-- As a clock, so that none comes again when Redis has lost the number before.
local function next_number()
    local number = redis.call('INCR', P .. 'stay')
    if number == 1 then
        number = now * 1000
        redis.call('SET', P .. 'stay', text(number))
    end
    return number
end

local function enter(own, in_place_of)
    if in_place_of then leave_room(ROOM, own, in_place_of, 'replaced') end
    local info, state = ARGV[9], ARGV[10]
    event('J', ROOM, ',"user_id":' .. json(own) .. ',"info":' .. or_null(info))
    local seat = { number = next_number(), proven = proven and 1 or 0, n = 0, missing = 0, seq = 0, lost = 0, kept = 0, bytes = 0, from = 0, since = 0, late = 0, late_bytes = 0, lasts = 0 }
    redis.call('UNLINK', told_key(ROOM, own))
    write_peer(ROOM, own, { secret = ARGV[15], since = now, info = info, state = state })
    redis.call('HSET', room_key, 's', redis.call('HGET', room_key, 'e') or text(stays))
    redis.call('ZREM', P .. 'room_due', 'r' .. ROOM)
    sit_down(own, seat)
    tell_all(ROOM, frame_of(JOINED, ',"user_id":' .. json(own) .. ',"info":' .. or_null(info) .. ',"state":' .. or_null(state) .. ',"polite":false'), own)
    return joined(own, seat, ARGV[15], 0, 0, {})
end

local function open_room()
    if ARGV[16] ~= '1' then return { 'no_room' } end
    if redis.call('ZCARD', P .. 'rooms') >= most then return { 'rooms_full' } end
    event('S', ROOM, '')
    redis.call('ZADD', P .. 'rooms', 0, ROOM)
    redis.call('HSET', room_key, 'c', text(now))
    return enter(user)
end

local function join()
    local same = read_seat(ROOM, user)
    if same and not proven then return { 'taken' } end
    local limit = tonumber(redis.call('HGET', room_key, 'k')) or capacity
    if not same and redis.call('HLEN', P .. 'seats:' .. ROOM) >= limit then return { 'full' } end
    return enter(user, same)
end

-- Whose ticket it is. A member that credentials were shown for is nobody else's, whoever has found its ticket. Digests are compared: how long
-- that takes says nothing of the secret.
local function find_by_ticket()
    local all, number = redis.call('HGETALL', P .. 'seats:' .. ROOM), tonumber(ARGV[11])
    for i = 1, #all, 2 do
        local seat = unpack_seat(all[i + 1])
        if seat.number == number then
            local own, p = all[i], read_peer(ROOM, all[i])
            local is_its = redis.sha1hex(p.secret) == redis.sha1hex(ARGV[12]) and (user == '' or user == own)
            if is_its and (proven or seat.proven == 0) then return own, seat, p end
        end
    end
end

local function seen(own, seat, seq)
    local key = told_key(ROOM, own)
    while seat.kept > 0 do
        local first = redis.call('LINDEX', key, 0)
        if first and (struct.unpack('<d', first)) > seq then return end
        redis.call('LPOP', key)
        seat.kept, seat.bytes = first and seat.kept - 1 or 0, first and seat.bytes - #first or 0
    end
end

-- They were told now, and are kept for as long again.
local function told_now(own, seat, entries)
    local key = told_key(ROOM, own)
    redis.call('DEL', key)
    if #entries == 0 then return end
    for i, entry in ipairs(entries) do
        entries[i] = string.sub(entry, 1, 8) .. struct.pack('<d', now) .. string.sub(entry, 17)
        redis.call('RPUSH', key, entries[i])
    end
    seat.lasts = 0
    let_last(ROOM, own, seat, KEEP)
end

local function come_back(own, seat, p)
    local state, last = seat.state, tonumber(ARGV[13])
    local after = last or (state == PRESENT and seat.seq or seat.from)
    local again, recovered = kept_after(ROOM, own, seat, after, (state == PRESENT and now or seat.since) - KEEP)
    if state ~= AWAY then
        stand_up(ROOM, seat)
        redis.call('PUBLISH', P .. 'words:' .. seat.node, 'sx' .. seat.connection .. ROOM)
    end
    if last and last <= seat.seq then seen(own, seat, last) end
    local rest = kept_after(ROOM, own, seat, 0, (state == PRESENT and now or seat.since) - KEEP)
    told_now(own, seat, rest)
    seat.kept, seat.bytes = #rest, 0
    for _, entry in ipairs(rest) do seat.bytes = seat.bytes + #entry end
    seat.late, seat.late_bytes = 0, 0
    sit_down(own, seat)
    if state == AWAY then is_back(ROOM, own) end
    return joined(own, seat, p.secret, 1, recovered and 1 or 0, again)
end

local function resume()
    local own, seat, p = find_by_ticket()
    if not own then return { 'resume' } end
    if ARGV[14] == '1' then return enter(own, seat) end
    return come_back(own, seat, p)
end

if not is_held(lease) then return { 'away' } end
if sitting(lease, connection, ROOM) then return { 'already' } end
if ARGV[11] ~= '' then return resume() end
if user == '' then return { 'user' } end
if redis.call('EXISTS', room_key) == 0 then return open_room() end
return join()
