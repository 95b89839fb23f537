-- names.lua: channels that keep messages, in order of name.
--
-- ARGV  1 names that begin with this   2 names greater than this, "" all   3 pattern, "" all   4 names   5 how many to look at
--       6 1: only those that keep what counts; 0: also those that may be found to keep nothing (channels.lua)
-- -> {1 if there may be more else 0, the last one looked at, name…} · {"none"}
local head = read_head()
if not head then return { 'none' } end
local now = math.max(clock(), head.time)
local prefix, after, limit, looks = ARGV[1], ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5])
local pattern = ARGV[3] ~= '' and matcher(ARGV[3])
local least = after >= prefix and '(' .. after or '[' .. prefix
local answer, upto = { 0, '' }, ''
-- No byte of a name is 255: they are UTF-8.
local names = redis.call('ZRANGE', P .. 'names', least == '(' and '-' or least, '[' .. prefix .. '\255', 'BYLEX', 'LIMIT', 0, looks + 1)
for i, name in ipairs(names) do
    local keeps = i <= looks and (not pattern or string.find(name, pattern))
    if keeps and redis.call('EXISTS', P .. 'kept:' .. name) == 0 then
        redis.pcall('ZREM', P .. 'names', name)
        keeps = false
    end
    keeps = keeps and (ARGV[6] == '0' or kept_of(name, now))
    if i > looks or (keeps and #answer == 2 + limit) then
        answer[1] = 1
        break
    end
    if keeps then answer[#answer + 1] = name end
    upto = name
end
answer[2] = upto
return answer
