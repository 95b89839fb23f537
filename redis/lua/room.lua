-- room.lua: stands behind age.lua and change.lua before scripts that know of rooms (hub/rooms.h, redis_rooms.h).
--
--   rooms     sorted set, all of score 0: the rooms there are, by name
--   room:R    hash, of room R: c when it was made · k capacity, e ms that it stays without members, where an administrator has said so · s those
--             ms as they hold · m metadata · a how many are away
--   seats:R   hash, of each member: where it is and what it was told (SEAT)
--   peers:R   hash, of each member: secret of its ticket 16 · since 8 · info 4+n · state 4+n
--   told:R:U  list: what member U was told lately, or is to be told (entry_of); R stands behind a byte of its length
--   sat:L     hash, of lease L: connection 8 and room -> member
--   room_due  sorted set: p, R (behind its length) and U: a member that is away, by the age at which it has left; r and R: an empty room, by when it ends
--   stay      string: number of the newest member; who has the lower one came first
--
-- Each of these scripts has ARGV  1 wants (change.lua)   2 what is kept for a member: frames 8 · bytes 8 · ms 8   3 lease   4 node   5 connection   6 room
--
-- Words to nodes: s, then
--   f  type 1 · by 1 · when it came to its hub, 0 nobody asks 8 · from 1+n · room 1+n · how many 4 · of each: connection 8 · number 8 · seq 8 · then the members of the frame
--   x  connection 8 · room: its member goes on with another one
local WANTS, ROOM = ARGV[1], ARGV[6]
local KEPT, KEPT_BYTES, KEEP = struct.unpack('<ddd', ARGV[2])

-- hub/room_frames.def
local SIGNAL, STATE, JOINED, LEFT_ROOM, GONE, BACK, UPDATED, LEFT = 3, 5, 6, 7, 8, 9, 10, 11
local BY_ROOM, BY_MEMBER, BY_BACKEND = 0, 1, 2

-- PRESENT: told by words. AWAY: its connection has ended. BEHIND: it is there, and its node cannot take more now, or was not reached; it
-- asks for what it has missed (room_seats.lua).
local PRESENT, AWAY, BEHIND = 0, 1, 2

local now = clock()

-- Before anything is written: a script that ended at a word it may not send would have done half of its work, and what is said again would come twice.
redis.call('PUBLISH', P .. 'words:', '')      -- to nobody

local function json(text) return (string.gsub(cjson.encode(text), '\\/', '/')) end
local function or_null(text) return text == '' and 'null' or text end
local function named(room) return struct.pack('<Bc0', #room, room) end
local function told_key(room, user) return P .. 'told:' .. named(room) .. user end
local function sat_field(connection, room) return connection .. room end

-- ---- a member ----

-- node (redis_bus_words_of) 16 · lease 16 · connection 8 · state 1 · 1 if credentials said who it is · its number · highest n of its own that was
-- taken · which of the 32 below were not (hub/rooms/room_taken.h) · newest seq · newest that is not kept · entries of told, their bytes · of AWAY and BEHIND: seq when that began, when, entries since, their
-- bytes · its grace · until when told lasts at least
local SEAT = '<c16c16c8BBddddddddddddd'

local function unpack_seat(packed)
    local s = {}
    s.node, s.lease, s.connection, s.state, s.proven, s.number, s.n, s.missing, s.seq, s.lost, s.kept, s.bytes, s.from, s.since, s.late, s.late_bytes, s.grace, s.lasts =
        struct.unpack(SEAT, packed)
    return s
end

local function pack_seat(s)
    return struct.pack(SEAT, s.node, s.lease, s.connection, s.state, s.proven, s.number, s.n, s.missing, s.seq, s.lost, s.kept, s.bytes, s.from, s.since, s.late,
                       s.late_bytes, s.grace, s.lasts)
end

local function read_seat(room, user)
    local packed = redis.call('HGET', P .. 'seats:' .. room, user)
    return packed and unpack_seat(packed)
end

local function write_seat(room, user, seat) redis.call('HSET', P .. 'seats:' .. room, user, pack_seat(seat)) end

-- hub/rooms/room_taken.h
local WINDOW = 32
local function has_taken(seat, n)
    local below = seat.n - n - 1
    return n <= seat.n and not (below >= 0 and below < WINDOW and math.floor(seat.missing / 2 ^ below) % 2 == 1)
end

local function take_number(seat, n)
    local above = n - seat.n
    if above < 0 then      -- it was missing
        seat.missing = seat.missing - 2 ^ (-above - 1)
        return
    end
    seat.missing = above < WINDOW and (seat.missing * 2 ^ above + 2 ^ (above - 1) - 1) % 2 ^ WINDOW or 0
    seat.n = n
end

-- Whose connection this is in the room, and how it sits; nil: nobody's.
local function who_sits(lease, connection, room) return redis.call('HGET', P .. 'sat:' .. lease, sat_field(connection, room)) end
local function sitting(lease, connection, room)
    local user = who_sits(lease, connection, room)
    local seat = user and read_seat(room, user)
    if seat then return user, seat end
end

local NOBODY = struct.pack('<c16dI4I4', string.rep('\0', 16), 0, 0, 0)      -- Redis has thrown it away (maxmemory-policy)
local function unpack_peer(packed)
    local p = {}
    p.secret, p.since, p.info, p.state = struct.unpack('<c16dI4c0I4c0', packed or NOBODY)
    return p
end

local function read_peer(room, user) return unpack_peer(redis.call('HGET', P .. 'peers:' .. room, user)) end

local function write_peer(room, user, p)
    redis.call('HSET', P .. 'peers:' .. room, user, struct.pack('<c16dI4c0I4c0', p.secret, p.since, #p.info, p.info, #p.state, p.state))
end

-- All members, the oldest first: user, seat, peer.
local function read_members(room)
    local seats, peers, packed, members = redis.call('HGETALL', P .. 'seats:' .. room), redis.call('HGETALL', P .. 'peers:' .. room), {}, {}
    for i = 1, #peers, 2 do packed[peers[i]] = peers[i + 1] end
    for i = 1, #seats, 2 do members[#members + 1] = { user = seats[i], seat = unpack_seat(seats[i + 1]), peer = unpack_peer(packed[seats[i]]) } end
    table.sort(members, function(a, b) return a.seat.number < b.seat.number end)
    return members
end

-- ---- what members are told ----

local function frame_of(type, rest) return { type = type, by = BY_ROOM, from = '', rest = rest } end

local function entry_of(seq, frame) return struct.pack('<ddBBBc0', seq, now, frame.type, frame.by, #frame.from, frame.from) .. frame.rest end

local function size_of(frame) return 19 + #frame.from + #frame.rest end      -- of its entry

-- Longer than is needed, so that it need not be said each time.
local function let_last(room, user, seat, ms)
    if seat.lasts >= now + ms then return end
    seat.lasts = now + ms + KEEP
    redis.call('PEXPIRE', told_key(room, user), text(ms + KEEP))
end

local function time_away(seat) return KEEP + 2 * seat.grace + 60000 end

local function keep(room, user, seat, frame)
    local key = told_key(room, user)
    seat.seq = seat.seq + 1
    local n = redis.call('RPUSH', key, entry_of(seat.seq, frame))
    if n <= seat.kept then seat.kept, seat.bytes, seat.lost = 0, 0, math.max(seat.lost, seat.seq - 1) end      -- those before have expired
    if n == 1 then seat.lasts = 0 end
    seat.kept, seat.bytes = seat.kept + 1, seat.bytes + size_of(frame)
    let_last(room, user, seat, seat.state == PRESENT and KEEP or time_away(seat))
end

local function miss(seat)
    seat.seq = seat.seq + 1
    seat.lost = seat.seq
end

local function give_up_oldest(room, user, seat)
    local entry = redis.call('LPOP', told_key(room, user))
    if entry then
        seat.lost = math.max(seat.lost, (struct.unpack('<d', entry)))
        seat.kept, seat.bytes = seat.kept - 1, seat.bytes - #entry
    else
        seat.lost, seat.kept, seat.bytes = seat.seq, 0, 0
    end
end

local function keep_newest(room, user, seat, frame)
    local size = size_of(frame)
    while seat.kept > 0 and (seat.kept >= KEPT or seat.bytes + size > KEPT_BYTES) do give_up_oldest(room, user, seat) end
    if size <= KEPT_BYTES then keep(room, user, seat, frame) else miss(seat) end
end

-- False: it has no room for that.
local function keep_for_later(room, user, seat, frame)
    local size = size_of(frame)
    if seat.late >= KEPT or seat.late > 0 and seat.late_bytes + size > KEPT_BYTES then return false end
    keep(room, user, seat, frame)
    seat.late, seat.late_bytes = seat.late + 1, seat.late_bytes + size
    return true
end

-- What is in the answer to who comes back need not be kept for it.
local function is_news(frame) return frame.type >= STATE end

-- False: it is busy, and the frame has no number. The seat is for the caller to write; who is PRESENT is to be sent it.
local function give_number(room, user, seat, frame)
    if seat.state == PRESENT then
        keep_newest(room, user, seat, frame)
    elseif not keep_for_later(room, user, seat, frame) then
        if not is_news(frame) then return false end
        miss(seat)
    end
    return true
end

-- A word that nobody has heard: its node is not listening, and will ask.
local function fall_behind(room, user, seat, frame)
    seat.state, seat.from, seat.since, seat.late, seat.late_bytes = BEHIND, seat.seq - 1, now, 1, size_of(frame)
    let_last(room, user, seat, time_away(seat))
end

local function send(room, node, frame, receivers)
    local places = {}
    for i, r in ipairs(receivers) do places[i] = struct.pack('<c8dd', r.seat.connection, r.seat.number, r.seat.seq) end
    local word = 'sf' .. struct.pack('<BBdBc0Bc0I4', frame.type, frame.by, frame.came or 0, #frame.from, frame.from, #room, room, #receivers) .. table.concat(places) .. frame.rest
    if redis.call('PUBLISH', P .. 'words:' .. node, word) > 0 then return end
    for _, r in ipairs(receivers) do fall_behind(room, r.user, r.seat, frame) end
end

-- To one; false: it is busy.
local function tell_one(room, user, seat, frame)
    if not give_number(room, user, seat, frame) then return false end
    if seat.state == PRESENT then send(room, seat.node, frame, { { user = user, seat = seat } }) end
    write_seat(room, user, seat)
    return true
end

-- To all but one (nil: to all) -> how many, and who was busy
local function tell_all(room, frame, but)
    local all, told, busy, nodes = redis.call('HGETALL', P .. 'seats:' .. room), {}, {}, {}
    for i = 1, #all, 2 do
        local user, seat = all[i], unpack_seat(all[i + 1])
        if user ~= but then
            if give_number(room, user, seat, frame) then
                local receiver = { user = user, seat = seat }
                told[#told + 1] = receiver
                if seat.state == PRESENT then
                    nodes[seat.node] = nodes[seat.node] or {}
                    table.insert(nodes[seat.node], receiver)
                end
            else
                busy[#busy + 1] = user
            end
        end
    end
    for node, receivers in pairs(nodes) do send(room, node, frame, receivers) end
    for _, one in ipairs(told) do write_seat(room, one.user, one.seat) end
    return #told, busy
end

-- ---- away, and gone ----

local function due_name(room, user) return 'p' .. named(room) .. user end

local function event(letter, room, members) note(WANTS, letter, room, '', '{"room":' .. json(room) .. members .. '}') end

local function end_room(room, reason)
    event('E', room, ',"reason":"' .. reason .. '"')
    redis.call('ZREM', P .. 'rooms', room)
    redis.call('ZREM', P .. 'room_due', 'r' .. room)
    redis.call('UNLINK', P .. 'room:' .. room, P .. 'seats:' .. room, P .. 'peers:' .. room)
end

-- Nobody may be in it from now on.
local function mind_empty(room)
    if redis.call('EXISTS', P .. 'seats:' .. room) == 1 then return end
    local stays = tonumber(redis.call('HGET', P .. 'room:' .. room, 's')) or 0
    if stays == 0 then return end_room(room, 'empty') end
    redis.call('ZADD', P .. 'room_due', text(read_age(now) + stays), 'r' .. room)
end

local function stand_up(room, seat)
    if seat.state ~= AWAY then redis.call('HDEL', P .. 'sat:' .. seat.lease, sat_field(seat.connection, room)) end
end

-- For good. Others are told, and so is its own connection (but for 'left').
local function leave_room(room, user, seat, reason, message)
    local rest = ',"user_id":' .. json(user) .. ',"reason":"' .. reason .. '"' .. (message and message ~= '' and ',"message":' .. json(message) or '')
    event('L', room, ',"user_id":' .. json(user) .. ',"reason":"' .. reason .. '"')
    if reason ~= 'left' and seat.state ~= AWAY then
        redis.call('PUBLISH', P .. 'words:' .. seat.node, 'sf' .. struct.pack('<BBdBBc0I4c8dd', LEFT, BY_ROOM, 0, 0, #room, room, 1, seat.connection, seat.number, 0) .. rest)
    end
    stand_up(room, seat)
    if seat.state == AWAY then
        redis.call('HINCRBY', P .. 'room:' .. room, 'a', -1)
        redis.call('ZREM', P .. 'room_due', due_name(room, user))
    end
    redis.call('HDEL', P .. 'seats:' .. room, user)
    redis.call('HDEL', P .. 'peers:' .. room, user)
    redis.call('UNLINK', told_key(room, user))
    if reason ~= 'ended' then tell_all(room, frame_of(LEFT_ROOM, rest)) end      -- else all others leave too
end

local function leave(room, user, seat, reason, message)
    leave_room(room, user, seat, reason, message)
    mind_empty(room)
end

local function go_away(room, user, seat)
    if seat.grace == 0 then return leave(room, user, seat, 'timeout') end
    local age, calm = read_age(now)
    stand_up(room, seat)
    if seat.state == PRESENT then seat.from, seat.since = seat.seq, now end      -- who was BEHIND has not had what came since
    seat.state, seat.late, seat.late_bytes = AWAY, 0, 0
    let_last(room, user, seat, time_away(seat))
    write_seat(room, user, seat)
    redis.call('HINCRBY', P .. 'room:' .. room, 'a', 1)
    redis.call('ZADD', P .. 'room_due', text(math.max(age + seat.grace, calm)), due_name(room, user))
    tell_all(room, frame_of(GONE, ',"user_id":' .. json(user)), user)
end

-- It was AWAY, and a connection has it now.
local function is_back(room, user)
    redis.call('HINCRBY', P .. 'room:' .. room, 'a', -1)
    redis.call('ZREM', P .. 'room_due', due_name(room, user))
    tell_all(room, frame_of(BACK, ',"user_id":' .. json(user)), user)
end

local function remove_room(room)
    local all = redis.call('HGETALL', P .. 'seats:' .. room)
    for i = 1, #all, 2 do leave_room(room, all[i], unpack_seat(all[i + 1]), 'ended') end
    end_room(room, 'removed')
end

-- What is kept for it after this number, oldest first, and whether nothing of that is missing.
local function kept_after(room, user, seat, after, oldest)
    local found, first = {}, seat.seq + 1
    for _, entry in ipairs(redis.call('LRANGE', told_key(room, user), 0, -1)) do
        local seq, at = struct.unpack('<dd', entry)
        if at >= oldest then
            first = math.min(first, seq)
            if seq > after then found[#found + 1] = entry end
        end
    end
    return found, after <= seat.seq and after >= math.max(seat.lost, first - 1)
end
