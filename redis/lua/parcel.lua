-- parcel.lua: what lies beside a word (tell.lua).
--
-- ARGV  1 name   2 "1": it is for nobody else
-- -> the parcel · nil: it has expired
local parcel = redis.call('GET', P .. 'parcel:' .. ARGV[1])
if parcel and ARGV[2] == '1' then redis.call('UNLINK', P .. 'parcel:' .. ARGV[1]) end
return parcel
