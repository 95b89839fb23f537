-- record.lua: one record is changed, or written back by a node that still knows it; all nodes are told (redis_records.h).
--
--   records  hash: field -> version 8 (a double) · value; without a value it is gone, and that is known for a while
--
-- ARGV  1 field   2 version that it is to have now (0: nobody knows it); "back": it is written back   3 the newest version that the node
--       has seen of any; written back: the record's   4 value; "": it goes   5 subject of all nodes   6 kind of the word
-- -> {"ok", version} · {"changed", version, value}: it has another · {"known"}: not written back, since it is not older here
--
-- A version is a time, above all that were given before: whoever has changed it last is right, also when Redis has lost something between.
local packed = redis.call('HGET', P .. 'records', ARGV[1])
local stored, version = packed and struct.unpack('<d', packed) or 0, tonumber(ARGV[3])
if ARGV[2] == 'back' then
    if stored >= version then return { 'known' } end
else
    if stored ~= tonumber(ARGV[2]) then return { 'changed', text(stored), string.sub(packed or '', 9) } end
    version = math.max(clock(), version + 1, stored + 1)
end
redis.call('HSET', P .. 'records', ARGV[1], struct.pack('<d', version) .. ARGV[4])
redis.call('PUBLISH', ARGV[5], ARGV[6] .. struct.pack('<dB', version, #ARGV[1]) .. ARGV[1] .. ARGV[4])
return { 'ok', text(version) }
