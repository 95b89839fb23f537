-- room_say.lua: what one member says to another, to all, or of itself (signaling/relay.c).
--
-- ARGV  7 to whom, "": all others   8 its own number, "0": none   9 type   10 members of the frame   11 its state from now on; "" nothing is said of that
--       12 when it came to its hub, by the server's clock, "0" nobody asks
-- -> {"ok", to how many, who was busy as JSON, for some …} · {"again"} it was taken before · {"not_in"} {"yourself"} {"nobody"} {"busy"}
local NAMED = 32
local to, n, type, shows = ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[11]
local user, seat = who_sits(ARGV[3], ARGV[5], ROOM)
if user and n > 0 then seat = read_seat(ROOM, user) end
if not user then return { 'not_in' } end
if seat and has_taken(seat, n) then return { 'again' } end
local frame = { type = type, by = BY_MEMBER, from = user, rest = ARGV[10], came = tonumber(ARGV[12]) }

local function taken()
    if not seat then return end
    take_number(seat, n)
    write_seat(ROOM, user, seat)
end

if to ~= '' then
    if to == user then return { 'yourself' } end
    local receiver = read_seat(ROOM, to)
    if not receiver then return { 'nobody' } end
    if not tell_one(ROOM, to, receiver, frame) then return { 'busy' } end
    taken()
    return { 'ok', 1 }
end

if type < SIGNAL and redis.call('HLEN', P .. 'seats:' .. ROOM) == 1 then return { 'nobody' } end      -- a broadcast to nobody is no mistake
if shows ~= '' then
    local p = read_peer(ROOM, user)
    p.state = shows == 'null' and '' or shows
    write_peer(ROOM, user, p)
end
local told, busy = tell_all(ROOM, frame, user)
if told > 0 or #busy == 0 then taken() end      -- again it would come twice to those who have it
local reply = { 'ok', told }
for i = 1, math.min(#busy, NAMED) do reply[i + 2] = json(busy[i]) end
return reply
