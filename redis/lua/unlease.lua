-- unlease.lua: a lease ends. Its node gives it back, and any node may bury it at once; or it has been buried.
--
-- ARGV  1 lease   2 "1" it has been buried, "" it is given back
local lease = ARGV[1]
if ARGV[2] == '1' then
    redis.call('ZREM', P .. 'burials', lease)
    redis.call('UNLINK', P .. 'held:' .. lease, P .. 'sat:' .. lease)
elseif redis.call('ZREM', P .. 'leases', lease) == 1 then
    redis.call('HDEL', P .. 'nodes', lease)
    if redis.call('EXISTS', P .. 'held:' .. lease, P .. 'sat:' .. lease) > 0 then redis.call('ZADD', P .. 'burials', 0, lease) end
    redis.call('PUBLISH', P .. 'words', 'n')
end
return 1
