-- purge.lua: removes what a channel keeps, or of that what came before a position; all nodes are told (hub/purge.c).
-- Its newest number stays known, and the oldest message that is left knows what was before it: so a gap is told.
--
-- ARGV  1 channel   2 epoch, 3 number of the position; epoch 0: all   4 subject of all nodes
-- -> {"ok", epoch, number up to which it is gone, messages} · {"position"}: of another epoch, or from the future · {"none"}
local head = read_head()
if not head then return { 'none' } end
local epoch, before, kept = tonumber(ARGV[2]), tonumber(ARGV[3]), P .. 'kept:' .. ARGV[1]
if epoch ~= 0 and (epoch ~= head.epoch or before == 0 or before > head.seq) then return { 'position' } end

local known, upto = redis.call('GET', P .. 'last:' .. ARGV[1]), 0
if known then upto = struct.unpack('<d', known) end
if epoch ~= 0 then
    local newest = redis.call('XREVRANGE', kept, text(before - 1), '-', 'COUNT', 1)[1]
    local oldest = redis.call('XRANGE', kept, '-', '+', 'COUNT', 1)[1]
    if newest then upto = number_of(newest[1])
    else upto = math.min(oldest and struct.unpack('<I8', oldest[2][2], 9) or upto, before - 1) end
end
local removed = redis.call('XLEN', kept)
redis.call('XTRIM', kept, 'MINID', text(upto + 1))
removed = removed - redis.call('XLEN', kept)
if removed > 0 then redis.call('PUBLISH', ARGV[4], '') end
return { 'ok', text(head.epoch), text(upto), removed }
