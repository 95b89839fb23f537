-- counts.lua: how much waits for each endpoint, and how many dead letters there are.
--
-- -> the hash `queue` as a list (queue.lua)
return redis.call('HGETALL', P .. 'queue')
