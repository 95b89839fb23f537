-- rates.lua: buckets that all nodes take from (hub/base/buckets.h): what one node took of some of them is added, and it is told how far
-- each is from full now.
--
--   rate:N   string, of a bucket called N: when it is full, in microseconds of the server's clock; ends RATE_LATE after that, because what
--            is told of now may have been taken before
--
-- ARGV  1 packed, for each: name 32 · then doubles, microseconds: all that was taken since the last report, when a bucket that was full
--         before that would be full (from now), what a whole bucket takes
-- -> packed doubles: microseconds from now until it is full, below 0: it has been
local LATE, DEBTS, REPORT = 5000, 4, 32 + 3 * 8

local at = redis.call('TIME')
local now = at[1] * 1000000 + at[2]
local debts = {}
for i = 1, #ARGV[1], REPORT do
    local name, spent, own, whole = struct.unpack('<c32ddd', ARGV[1], i)
    local key = P .. 'rate:' .. name
    -- More than so many buckets too much (or of a limit that is another now, or of a clock that was set back) is forgiven.
    local full = math.min(tonumber(redis.call('GET', key) or 0), now + DEBTS * whole)
    full = math.max(full + spent, now + own)
    redis.call('SET', key, text(full), 'PX', text(math.max(0, math.ceil((full - now) / 1000)) + LATE))
    debts[#debts + 1] = struct.pack('<d', full - now)
end
return table.concat(debts)
