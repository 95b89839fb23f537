-- room_leave.lua: a member leaves, is put out, or has lost its connection.
--
-- ARGV  7 leave, drop: the connection's own; gone: likewise, for good; forbid: credentials do not grant it any more; kick: by the connection; expel: by a backend   8 of kick and expel: whom   9 message
-- -> {"ok", user} · {"not_in"} {"yourself"} {"nobody"}
local how, whom, message = ARGV[7], ARGV[8], ARGV[9]
local own, seat = sitting(ARGV[3], ARGV[5], ROOM)

if how == 'kick' or how == 'expel' then
    if how == 'kick' and own == whom then return { 'yourself' } end
    local other = read_seat(ROOM, whom)
    if not other then return { 'nobody' } end
    leave(ROOM, whom, other, 'kicked', message)
    return { 'ok', whom }
end

if not own then return { 'not_in' } end
if how == 'drop' then
    go_away(ROOM, own, seat)
else
    leave(ROOM, own, seat, ({ leave = 'left', gone = 'disconnected', forbid = 'forbidden' })[how])
end
return { 'ok', own }
