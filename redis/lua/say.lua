-- say.lua: how members of a node stand in their channels. Said twice it does no harm.
--
-- ARGV  1 lease   2 for each: channel 1+n · user 1+n · connections 4 (0: it has left this node) · when the newest came 8 · grace 8 · who is
--       told 1 (member.lua) · info 4+n   3 wants (change.lua)
-- -> {1, changes of held:L, ms until a grace ends or nothing} · {0}: the lease is lost
local lease, batch, wants = ARGV[1], ARGV[2], ARGV[3]
if not is_held(lease) then return { 0 } end
local now = clock()
local age, calm = read_age(now)
local number, held, at = tonumber(lease, 16), P .. 'held:' .. lease, 1

while at <= #batch do
    local channel, user, connections, came, grace, tells, info
    channel, user, connections, came, grace, tells, info, at = struct.unpack('<Bc0Bc0I4I8I8BI4c0', batch, at)
    local member = read_member(channel, user)
    local before = member and take_standing(member, number)
    if connections > 0 then
        local is_new = not member
        if is_new then
            member = { since = now }
        elseif take_standing(member, 0) then
            redis.call('ZREM', P .. 'leaving', leaves(channel, user))
        end
        member.tells = tells
        member[#member + 1] = { lease = number, connections = connections, came = came, info = info }
        if is_new then
            note_member(wants, 'j', channel, user, member)
            redis.call('ZADD', P .. 'users:' .. channel, 0, user)
        end
        write_member(channel, user, member)
        if not before then redis.call('HINCRBY', held, channel, 1) end
        if is_new then tell('j', channel, user, member) end
    elseif before then
        if #member > 0 then
            write_member(channel, user, member)
        else
            begin_grace(wants, channel, user, member, before, age, calm, grace)
        end
        if redis.call('HINCRBY', held, channel, -1) <= 0 then redis.call('HDEL', held, channel) end
    end
end
return { 1, redis.call('HINCRBY', held, '', 1), next_leave(age) }
