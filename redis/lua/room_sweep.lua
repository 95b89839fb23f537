-- room_sweep.lua: who was away for too long has left, rooms that were empty for long enough end; connections of a lease that was lost have ended.
--
-- ARGV  3 lease to bury, "": what is due   7 how many at most
-- -> {how many, rooms there are, ms until the next is due or nothing}
local most, lease = tonumber(ARGV[7]), ARGV[3]

local function time_out(name)
    local room, at = struct.unpack('<Bc0', name, 2)
    local user = string.sub(name, at)
    local seat = read_seat(room, user)
    if seat and seat.state == AWAY then leave(room, user, seat, 'timeout') end
end

local function end_due(name)
    if string.byte(name) == 112 then
        time_out(name)
    else
        local room = string.sub(name, 2)
        if redis.call('EXISTS', P .. 'seats:' .. room) == 0 and redis.call('EXISTS', P .. 'room:' .. room) == 1 then end_room(room, 'empty') end
    end
    redis.call('ZREM', P .. 'room_due', name)
end

local function bury()
    local fields = redis.call('HRANDFIELD', P .. 'sat:' .. lease, most)
    for _, field in ipairs(fields) do
        local connection, room = string.sub(field, 1, 8), string.sub(field, 9)
        local user, seat = sitting(lease, connection, room)
        if user and seat.state ~= AWAY and seat.lease == lease and seat.connection == connection then go_away(room, user, seat) end
        redis.call('HDEL', P .. 'sat:' .. lease, field)
    end
    return #fields
end

local age, calm = read_age(now)
local function next_due()
    local first = redis.call('ZRANGE', P .. 'room_due', 0, 0, 'WITHSCORES')
    return first[2] and text(math.max(tonumber(first[2]) - age, calm - age, 0))
end

if lease ~= '' then return { bury() } end
local n_rooms = redis.call('ZCARD', P .. 'rooms')
if age < calm then return { 0, n_rooms, text(calm - age) } end
local due = redis.call('ZRANGE', P .. 'room_due', '-inf', text(age), 'BYSCORE', 'LIMIT', 0, most)
for _, name in ipairs(due) do end_due(name) end
return { #due, n_rooms, next_due() }
