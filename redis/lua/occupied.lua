-- occupied.lua: a channel has a subscriber on this node, whose subscription is confirmed; or none any more, for some time.
--
-- ARGV  1 channel   2 "1" it has, "0" not any more   3 how many of its subscriptions in Redis are this node's, which does not need them
--       4 wants (change.lua)
-- -> {1} · {0}: other nodes have subscribers too, or are just coming back
local channel = ARGV[1]
if ARGV[2] == '1' then
    if redis.call('SISMEMBER', P .. 'occupied', channel) == 0 then
        note(ARGV[4], 'o', channel, '', '')
        redis.call('SADD', P .. 'occupied', channel)
    end
    return { 1 }
end
local age, calm = read_age(clock())
if age < calm or has_subscribers(channel, tonumber(ARGV[3])) then return { 0 } end
vacate(ARGV[4], channel)
return { 1 }
