-- bury.lua: members are taken out that a lease has left behind; those it was the last of leave. A piece of it in each call.
--
-- ARGV  1 lease   2 channel that is under way, "": another one   3 user after whom to go on   4 how many to look at   5 wants (change.lua)
-- -> {1} all is done · {0, channel, user}: what to go on with
local lease, channel, after, looks = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local number, held = tonumber(lease, 16), P .. 'held:' .. lease
local age, calm = read_age(clock())

local function another()
    for _, name in ipairs(redis.call('HRANDFIELD', held, 2)) do if name ~= '' then return name end end
end

local function take_out(user)
    local member = read_member(channel, user)
    local last = member and take_standing(member, number)
    if last and #member > 0 then
        write_member(channel, user, member)
    elseif last then
        begin_grace(ARGV[5], channel, user, member, last, age, calm, 0)
    end
end

while looks > 0 do
    if channel == '' then channel = another() end
    if not channel then return { 1 } end
    local users = redis.call('ZRANGE', P .. 'users:' .. channel, after == '' and '-' or '(' .. after, '+', 'BYLEX', 'LIMIT', 0, looks)
    for _, user in ipairs(users) do take_out(user) end
    if #users == looks then return { 0, channel, users[looks] } end
    redis.call('HDEL', held, channel)
    looks, channel, after = looks - #users - 1, '', ''
end
return { 0, '', '' }
