-- outbox.lua: changes that are to become events.
--
-- ARGV  1 after this number   2 how many
-- -> number and change of each, in order (queue.lua)
local answer = {}
for _, entry in ipairs(redis.call('XRANGE', P .. 'outbox', '(' .. ARGV[1] .. '-0', '+', 'COUNT', ARGV[2])) do
    answer[#answer + 1] = text(number_of(entry[1]))
    answer[#answer + 1] = entry[2][2]
end
return answer
