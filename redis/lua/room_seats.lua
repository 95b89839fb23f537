-- room_seats.lua: how members sit that have their connection on this node, and what they were told since. Asked when words may have been lost, when the
-- node has another lease, and when a connection takes more again; a member that is BEHIND, or whose lease was lost, is PRESENT from then on.
--
-- ARGV  7 for each: connection 8 · room 1+n · user 1+n · its number 8 · seq up to which it was told 8 · 1 if it
--       can take no more now: from now on it is BEHIND
-- -> for each {"gone"} · {"else"}: it goes on with another connection · {"more"}: ask again · {"ok", seq, entries …}, and how many sit in the lease's name
local MOST = 1048576
local lease, node, asked = ARGV[3], ARGV[4], ARGV[7]
local reply, at, bytes = {}, 1, 0

-- It is there, whatever became of the lease that it sat in.
local function sit_up(room, user, seat, connection, state)
    local was_away = seat.state == AWAY
    stand_up(room, seat)
    seat.node, seat.lease, seat.connection, seat.state = node, lease, connection, state
    redis.call('HSET', P .. 'sat:' .. lease, sat_field(connection, room), user)
    write_seat(room, user, seat)
    if was_away then is_back(room, user) end
end

local function mark_full(room, user, seat, connection, seq)
    if seat.state == PRESENT then seat.from, seat.since, seat.late, seat.late_bytes = seq, now, seat.seq - seq, 0 end
    if seat.state ~= BEHIND or seat.lease ~= lease then
        let_last(room, user, seat, time_away(seat))
        sit_up(room, user, seat, connection, BEHIND)
    end
    return { 'ok', text(seq) }
end

local function catch_up(room, user, seat, connection, seq)
    local entries = kept_after(room, user, seat, seq, 0)      -- however old: it has missed none of those before
    local answer = { 'ok', text(seat.seq) }
    for i, entry in ipairs(entries) do
        answer[i + 2] = entry
        bytes = bytes + #entry
    end
    if seat.state ~= PRESENT or seat.lease ~= lease then
        seat.late, seat.late_bytes = 0, 0
        sit_up(room, user, seat, connection, PRESENT)
    end
    return answer
end

local function look(connection, room, user, number, seq, full)
    local seat = read_seat(room, user)
    if not seat or seat.number ~= number then return { 'gone' } end
    if seat.connection ~= connection or seat.node ~= node then return { 'else' } end
    if full == 1 then return mark_full(room, user, seat, connection, seq) end
    if bytes > MOST then return { 'more' } end
    return catch_up(room, user, seat, connection, seq)
end

if not is_held(lease) then return {} end
while at <= #asked do
    local connection, room, user, number, seq, full
    connection, room, user, number, seq, full, at = struct.unpack('<c8Bc0Bc0ddB', asked, at)
    reply[#reply + 1] = look(connection, room, user, number, seq, full)
end
reply[#reply + 1] = redis.call('HLEN', P .. 'sat:' .. lease)
return reply
