-- purge.lua: gives up all that is kept of a channel. Its newest number stays known, so that a gap is told.
-- ARGV  1 channel   -> {epoch, seq, messages} · {"none"}
local head = read_head()
if not head then return { 'none' } end
local n = redis.call('XLEN', P .. 'kept:' .. ARGV[1])
redis.call('UNLINK', P .. 'kept:' .. ARGV[1])
return { text(head.epoch), text(head.seq), n }
