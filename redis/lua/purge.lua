-- purge.lua: removes what a channel keeps, or of that what came before a position; all nodes are told (hub/purge.c).
-- Its newest number stays known, and the oldest message that is left knows what was before it: so a gap is told.
--
-- ARGV  1 channel   2 epoch, 3 number of the position; epoch 0: all   4 subject of all nodes
-- -> {"ok", epoch, number up to which it is gone, messages} · {"position"}: of another epoch, or from the future · {"none"}
local head = read_head()
if not head then return { 'none' } end
local epoch, before, kept = tonumber(ARGV[2]), tonumber(ARGV[3]), P .. 'kept:' .. ARGV[1]
if epoch ~= 0 and (epoch ~= head.epoch or before == 0 or before > head.seq) then return { 'position' } end

local now = math.max(clock(), head.time)
local channel, upto = look_at(ARGV[1], now, function() return 0 end), nil      -- of one that is not known there is nothing to go
if epoch == 0 then
    upto = math.max(channel.last, channel.dropped)
else
    upto = math.min(channel.dropped, before - 1)
    local cursor = text(before - 1)
    repeat
        local entry = redis.call('XREVRANGE', kept, cursor, text(channel.dropped + 1), 'COUNT', 1)[1]
        if entry and not is_over(entry[2][2], now) then upto, entry = number_of(entry[1]), nil end
        cursor = entry and '(' .. entry[1]
    until not entry
end

local removed = 0
if channel.ends then      -- those that have ended are gone already
    local cursor, CHUNK = '-', 64      -- so that no more than these are held
    repeat
        local chunk = redis.call('XRANGE', kept, cursor, text(upto), 'COUNT', CHUNK)
        for _, entry in ipairs(chunk) do
            cursor = '(' .. entry[1]
            if not is_over(entry[2][2], now) then removed = removed + 1 end
        end
    until #chunk < CHUNK
    redis.call('XTRIM', kept, 'MINID', text(upto + 1))
else
    removed = redis.call('XLEN', kept)
    redis.call('XTRIM', kept, 'MINID', text(upto + 1))
    removed = removed - redis.call('XLEN', kept)
end
if upto > channel.dropped then
    local k = read_known(ARGV[1])
    k.gone = upto
    redis.call('SET', P .. 'last:' .. ARGV[1], pack_known(k), 'KEEPTTL')
end
if removed > 0 then redis.call('PUBLISH', ARGV[4], '') end
return { 'ok', text(head.epoch), text(upto), removed }
