-- records.lua: some of the records; with the cursor of the answer the next ones. What was removed long ago is forgotten on the way.
--
-- ARGV  1 cursor, "0" at first   2 how many, about   3 ms that a removal is known
-- -> {cursor, "0": these are the last, field, version 8 · value, field, …}
local page = redis.call('HSCAN', P .. 'records', ARGV[1], 'COUNT', ARGV[2])
local found, forgotten = { page[1] }, clock() - tonumber(ARGV[3])
for i = 1, #page[2], 2 do
    local field, packed = page[2][i], page[2][i + 1]
    if #packed == 8 and struct.unpack('<d', packed) < forgotten then
        redis.call('HDEL', P .. 'records', field)
    else
        found[#found + 1], found[#found + 2] = field, packed
    end
end
return found
