-- rooms.lua: a page of the rooms there are.
--
-- ARGV  1 names that begin with this   2 that are greater than this, "": from the beginning   3 how many
-- -> of one more than those, as far as there are: name, members, away, created, capacity or "", ms that it stays or "", metadata
local prefix, after = ARGV[1], ARGV[2]
local from = after ~= '' and after >= prefix and '(' .. after or '[' .. prefix
local upto = prefix == '' and '+' or '[' .. prefix .. '\255'
local reply = {}
for _, name in ipairs(redis.call('ZRANGE', P .. 'rooms', from, upto, 'BYLEX', 'LIMIT', 0, tonumber(ARGV[3]) + 1)) do
    local room = redis.call('HMGET', P .. 'room:' .. name, 'a', 'c', 'k', 'e', 'm')
    for _, value in ipairs({ name, text(redis.call('HLEN', P .. 'seats:' .. name)), room[1] or '0', room[2] or '0', room[3] or '', room[4] or '', room[5] or '' }) do
        reply[#reply + 1] = value
    end
end
return reply
