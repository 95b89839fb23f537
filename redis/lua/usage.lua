-- usage.lua: what the data takes, and whether Redis has thrown away some of it (maxmemory-policy). Who has lost a key that way cannot say
-- which: it may be what tells of a gap. So the head is dropped, and proof.lua begins a new epoch: a gap for all, rather than a loss for some.
--
--   evicted  string: run id of the server · how many keys it had evicted when a node looked last
--
-- ARGV  1 the count as this node was told it last, "" never: the key may have gone with the others
-- -> {bytes used, bytes it may use (0: any), entries of the index, policy, evicted keys since the last look, the count};
--    numbers 0 and policy '' where INFO may not be asked
local function info(section)
    local text = redis.pcall('INFO', section)
    return type(text) == 'string' and text or ''
end
local memory, stats = info('memory'), info('stats')
local run = string.match(info('server'), 'run_id:(%x+)') or ''
local used, most = string.match(memory, 'used_memory:(%d+)'), string.match(memory, 'maxmemory:(%d+)')
local policy = string.match(memory, 'maxmemory_policy:(%S+)') or ''
local now = tonumber(string.match(stats, 'evicted_keys:(%d+)') or 0)

local known, head = redis.call('GET', P .. 'evicted') or ARGV[1] ~= '' and ARGV[1], redis.call('EXISTS', P .. 'head')
local before = known and string.match(known, '^' .. run .. ' (%d+)$')
-- Of a server that was started since the count begins at 0; of one that is looked at for the first time it is what others have done.
local evicted = now - tonumber(before or (known and 0 or now))
if not before or evicted ~= 0 then redis.call('SET', P .. 'evicted', run .. ' ' .. text(now)) end
if evicted > 0 and head == 1 then redis.call('DEL', P .. 'head') end
return { tonumber(used or 0), tonumber(most or 0), redis.call('XLEN', P .. 'index'), policy, evicted, run .. ' ' .. text(now) }
