-- missed.lua: which channels have had messages since a number that a node knows, by the index, so that it asks for no others (EXACT.md 19).
--
-- ARGV  1 epoch, 2 number   3 entries to look at
-- -> {"end" or "more", the number up to which it looked, channels, each once…} · {"gone"}: the index does not tell, all are to be asked for
local head = read_head()
local known, looks = tonumber(ARGV[2]), tonumber(ARGV[3])
if not head or head.epoch ~= tonumber(ARGV[1]) or head.seq < known then return { 'gone' } end

-- Every message has an entry, also one that was not kept: between the oldest one and the newest no message is missing.
local oldest = redis.call('XRANGE', P .. 'index', '-', '+', 'COUNT', 1)[1]
if not oldest or number_of(oldest[1]) > known + 1 then return { 'gone' } end

local answer, seen, last = { 'end', '' }, {}, known
local entries = redis.call('XRANGE', P .. 'index', text(known + 1), '+', 'COUNT', looks)
for _, entry in ipairs(entries) do
    local channel = string.sub(entry[2][2], 18)      -- "" of the beginning of an epoch
    if channel ~= '' and not seen[channel] then
        seen[channel] = true
        answer[#answer + 1] = channel
    end
    last = number_of(entry[1])
end
if #entries == looks then answer[1] = 'more' end
answer[2] = text(last)
return answer
