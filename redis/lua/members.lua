-- members.lua: a page of the members of a channel, by user. It goes to the node as a word: so it stands in order with those of who comes
-- and goes.
--
-- ARGV  1 subject   2 token   3 channel   4 user after whom   5 how many at most; 0: only the count   6 bytes that a page may have, and one member
-- -> 1
local channel, after, limit, most = ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local key = P .. 'users:' .. channel
local users = {}
if limit > 0 then users = redis.call('ZRANGE', key, after == '' and '-' or '(' .. after, '+', 'BYLEX', 'LIMIT', 0, limit + 1) end
local packed = #users > 0 and redis.call('HMGET', P .. 'members:' .. channel, unpack(users)) or {}
local page, bytes, more = {}, 0, 0
for i, user in ipairs(users) do
    local since, _, at = struct.unpack('<I8B', packed[i])
    local connections, newest, info = 0, -1, ''
    while at <= #packed[i] do
        local c, came, text_of
        _, c, came, text_of, at = struct.unpack('<I8I4I8I4c0', packed[i], at)
        connections = connections + c
        if came > newest then newest, info = came, text_of end
    end
    local one = struct.pack('<Bc0I8I4I4c0', #user, user, since, connections, #info, info)
    bytes = bytes + #one
    if i > limit or (i > 1 and bytes > most) then
        more = 1
        break
    end
    page[i] = one
end
redis.call('PUBLISH', ARGV[1], 'pa' .. ARGV[2] .. struct.pack('<I4BI4', redis.call('ZCARD', key), more, #page) .. table.concat(page))
return 1
