-- channels.lua: what is known of some channels.
--
-- ARGV  1 names, a line each
-- -> {epoch, for each: number of its newest message, 0 none is known, members, messages, bytes, parted by spaces} · {"none"}
local head = read_head()
if not head then return { 'none' } end
local answer, now = { text(head.epoch) }, math.max(clock(), head.time)
for name in string.gmatch(ARGV[1], '[^\n]+') do
    local known, kept = redis.call('GET', P .. 'last:' .. name), kept_of(name, now)
    local last = known and struct.unpack('<d', known) or 0
    answer[#answer + 1] = text(last) .. ' ' .. redis.call('ZCARD', P .. 'users:' .. name) .. ' ' .. (kept and text(kept.messages) .. ' ' .. text(kept.bytes) or '0 0')
end
return answer
