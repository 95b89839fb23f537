-- vacated.lua: channels whose last subscriber was on a node that has died, or had gone before a new epoch began; some in each call.
--
-- ARGV  1 cursor, "b" from the start   2 how many to look at   3 wants (change.lua)
-- -> the next cursor; "0" all were looked at, "" nobody leaves now
local age, calm = read_age(clock())
if age < calm then return '' end
local cursor = ARGV[1]
if cursor == 'b' then
    for _, channel in ipairs(redis.call('SPOP', P .. 'vacant', ARGV[2])) do
        if redis.call('SISMEMBER', P .. 'occupied', channel) == 0 and not has_subscribers(channel, 0) then note(ARGV[3], 'v', channel, '', '') end
    end
    if redis.call('EXISTS', P .. 'vacant') == 1 then return 'b' end
    cursor = '0'
end
local page = redis.call('SSCAN', P .. 'occupied', cursor, 'COUNT', ARGV[2])
for _, channel in ipairs(page[2]) do
    if not has_subscribers(channel, 0) then vacate(ARGV[3], channel) end
end
return page[1]
