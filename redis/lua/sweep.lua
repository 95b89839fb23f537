-- sweep.lua: members whose grace is over leave.
--
-- ARGV  1 how many at most   2 wants (change.lua)
-- -> {how many, ms until the next grace ends or nothing}
local age, calm = read_age(clock())
if age < calm then return { 0, text(calm - age) } end
local due = redis.call('ZRANGE', P .. 'leaving', '-inf', text(age), 'BYSCORE', 'LIMIT', 0, ARGV[1])
for _, packed in ipairs(due) do
    local channel, at = struct.unpack('<Bc0', packed)
    local user = string.sub(packed, at)
    local member = read_member(channel, user)
    if member and #member == 1 and member[1].lease == 0 then remove_member(ARGV[2], channel, user, member) end
    redis.call('ZREM', P .. 'leaving', packed)
end
return { #due, next_leave(age) }
