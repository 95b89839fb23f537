-- echo.lua: the way round, from the commands to the subscriber link, and the heartbeat.
--
-- ARGV  1 subject   2 token   3 "1" a heartbeat: it writes something, to know whether that can be done; "" none
-- -> {epoch, seq} or {epoch, seq, why nothing can be written} · {"none"}
local head = read_head()
if not head then return { 'none' } end
local refused
if ARGV[3] ~= '' then
    local written = redis.pcall('SET', P .. 'beat', clock())
    refused = type(written) == 'table' and written.err or nil
    if not refused and sweep_marks(head, clock()) then write_head(head) end
    if not refused then sweep_names(32) end
end
echo(ARGV[1], head, ARGV[2])
return { text(head.epoch), text(head.seq), refused }
