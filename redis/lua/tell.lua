-- tell.lua: a word to all nodes or to one; what is too long for a word lies beside it, as a parcel (redis_ask.h).
--
--   parcel:NAME  string, until it expires
--
-- ARGV  1 subject   2 word   3 what follows in it   4 name of its parcel: that follows then; "": none   5 ms
-- -> how many listeners were given the word
if ARGV[4] == '' then return redis.call('PUBLISH', ARGV[1], ARGV[2] .. ARGV[3]) end
redis.call('SET', P .. 'parcel:' .. ARGV[4], ARGV[3], 'PX', ARGV[5])
return redis.call('PUBLISH', ARGV[1], ARGV[2] .. ARGV[4])
