-- proof.lua: is this the data that the node knows? If not: a new epoch, with numbers above any that it has seen (EXACT.md 17).
--
-- ARGV  1 epoch, 2 number, 3 proof of the newest message that the node has seen; number 0: none
--       4 random number, for a new epoch   5 proof of that: 8 random bytes   6 subject for all nodes   7 length of the index
--       8 voucher that this answered the node last, "" never   9 1: it has waited for others, 0: it has not
-- -> {epoch, seq, 1 if the epoch is new, else 0, proof, voucher} · {"wait"}
--
-- The nodes vouch for the data. A server that has been started since they did (its run id is another) may have read an old file: its
-- data counts when one of them finds its newest message there. A node that has seen nothing cannot know, so it takes a new epoch then;
-- positions of the old one are not resumed from as if nothing were missing. But first it waits a little: when others live, they find
-- their messages there and vouch, and nobody has missed anything.
local head = read_head()
local mine, seen = tonumber(ARGV[1]), tonumber(ARGV[2])
local info = redis.pcall('INFO', 'server')      -- may be forbidden: then restarts are found by the nodes that stayed
local run = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
local voucher = redis.call('GET', P .. 'run') or ' 0'      -- run id of the server whose data was vouched for, and how many have been so far
local is_vouched = string.match(voucher, '^%x*') == run

local function vouch()
    voucher = run .. ' ' .. text(tonumber(string.match(voucher, '%d+$')) + 1)
    redis.call('SET', P .. 'run', voucher)
end

-- A script whose rights end in its middle has done half of its work: better not to begin. What the others call, each on keys of its kind.
local function missing_right()
    local probe = P .. 'probe:'
    for _, call in ipairs({
        { 'TIME' }, { 'SET', probe .. 's', 1, 'PX', 1000 }, { 'GET', probe .. 's' }, { 'UNLINK', probe .. 's' }, { 'DEL', probe .. 's' },
        { 'XADD', probe .. 'x', 'MAXLEN', '~', 1, '*', 'p', 1 }, { 'PEXPIREAT', probe .. 'x', 1 }, { 'XRANGE', probe .. 'x', '-', '+', 'COUNT', 1 },
        { 'XREVRANGE', probe .. 'x', '+', '-', 'COUNT', 1 }, { 'XTRIM', probe .. 'x', 'MAXLEN', 1 }, { 'XLEN', probe .. 'x' }, { 'XDEL', probe .. 'x', '1-0' },
        { 'ZADD', probe .. 'z', 1, 1 }, { 'ZSCORE', probe .. 'z', 1 }, { 'ZRANK', probe .. 'z', 1 }, { 'ZRANGE', probe .. 'z', 0, 0, 'BYSCORE' }, { 'ZREMRANGEBYSCORE', probe .. 'z', '-inf', '+inf' },
        { 'ZREMRANGEBYRANK', probe .. 'z', 0, 1 },
        { 'HSET', probe .. 'h', 'f', '' }, { 'HGET', probe .. 'h', 'f' }, { 'HMGET', probe .. 'h', 'f' }, { 'HINCRBY', probe .. 'h', 'n', 1 },
        { 'HRANDFIELD', probe .. 'h', 1 }, { 'HLEN', probe .. 'h' }, { 'HSCAN', probe .. 'h', 0 }, { 'HGETALL', probe .. 'h' }, { 'HKEYS', probe .. 'h' }, { 'HVALS', probe .. 'h' }, { 'HDEL', probe .. 'h', 'f', 'n' },
        { 'ZRANGE', probe .. 'z', '-', '+', 'BYLEX', 'LIMIT', 0, 1 }, { 'ZRANDMEMBER', probe .. 'z', 1 }, { 'ZREM', probe .. 'z', 1 }, { 'EXISTS', probe .. 'z' }, { 'ZCARD', probe .. 'z' },
        { 'SADD', probe .. 'm', 1 }, { 'SSCAN', probe .. 'm', 0 }, { 'SISMEMBER', probe .. 'm', 1 }, { 'RENAME', probe .. 'm', probe .. 'n' }, { 'SREM', probe .. 'n', 2 },
        { 'SPOP', probe .. 'n', 1 }, { 'RPUSH', probe .. 'l', 1 }, { 'PEXPIRE', probe .. 'l', 1000 }, { 'LINDEX', probe .. 'l', 0 }, { 'LRANGE', probe .. 'l', 0, 0 }, { 'LPOP', probe .. 'l' },
        { 'INCR', probe .. 'i' }, { 'PEXPIRE', probe .. 'i', 1 }, { 'PUBSUB', 'NUMSUB' }, { 'PUBSUB', 'CHANNELS', probe },
        { 'PUBLISH', P .. 'm:', '' }, { 'PUBLISH', ARGV[6], '' },
    }) do
        if is_forbidden(failure(redis.pcall(unpack(call)))) then return call[1] end
    end
end

-- What the index does not reach any more is there when this server has been the only one ever since.
local function holds()
    if seen == 0 or not head or head.epoch ~= mine or head.seq < seen then return false end
    local entry = redis.call('XRANGE', P .. 'index', ARGV[2], '+', 'COUNT', 1)[1]
    if entry and number_of(entry[1]) == seen then return string.sub(entry[2][2], 9, 16) == ARGV[3] end
    local oldest = redis.call('XRANGE', P .. 'index', '-', '+', 'COUNT', 1)[1]
    return oldest and number_of(oldest[1]) > seen and run ~= '' and is_vouched and voucher == ARGV[8]
end

local function newest_in_index()
    local entry = redis.call('XREVRANGE', P .. 'index', '+', '-', 'COUNT', 1)[1]
    return entry and number_of(entry[1]) or 0
end

-- Where keys were evicted, the head may be gone and histories be left: numbers that nobody can tell any more stay far below.
local function above_all()
    local stats = head and '' or redis.pcall('INFO', 'stats')
    local evicted = type(stats) == 'string' and tonumber(string.match(stats, 'evicted_keys:(%d+)') or 0) > 0
    return math.max(head and head.seq or 0, seen, newest_in_index()) + (evicted and 2 ^ 20 or 1)
end

local function is_good()
    if not head or head.seq < newest_in_index() then return false end
    if holds() then return true end
    return head.epoch ~= mine and is_vouched      -- by others
end

-- A number that is no message's: it is there to be proved, and all that come are above it.
local function begin(epoch, seq)
    local at = clock()
    local fresh = { epoch = epoch, seq = seq, proof = ARGV[5], time = math.max(at, head and head.time or 0), due = head and head.due or 0,
                    opened = head and head.opened or 0, floor = head and head.floor or seq }
    write_head(fresh)
    if not is_vouched then vouch() end
    add_to_index(seq, ARGV[7], '', at, fresh.proof, 0)
    echo(ARGV[6], fresh, '')
    return fresh
end

-- This server has been started, or promoted, since: it holds all that this node knows, but others, who may be gone, can have seen and
-- given to their readers numbers above. None of those is given to another message, and who comes with one is told a gap (fetch.lua).
local LEAP, LEAPS = 2 ^ 32, 64
local function leap()
    local last = head.seq
    head = begin(head.epoch, last + LEAP)
    redis.call('ZADD', P .. 'leaps', text(head.seq), text(last))
    redis.call('ZREMRANGEBYRANK', P .. 'leaps', 0, -LEAPS - 1)
end

local version = type(info) == 'string' and string.match(info, 'redis_version:(%S+)')
if version and tonumber(string.match(version, '^%d+')) < 7 then
    return redis.error_reply('TOOOLD it is Redis ' .. version .. ', and 7 or newer is needed')
end
local missing = missing_right()
if missing then return not_allowed(missing) end

local is_new = false
local good = is_good()
if not good and seen == 0 and head and run ~= '' and ARGV[9] == '0' then return { 'wait' } end
if not good then
    local at = redis.call('TIME')
    -- No random number is good for two epochs.
    local epoch = (tonumber(ARGV[4]) + at[1] * 1000000 + at[2]) % (2 ^ 40 - 1) + 1
    head, is_new = begin(epoch, above_all()), true
    redis.call('UNLINK', P .. 'leaps')
    if redis.call('EXISTS', P .. 'occupied') == 1 then redis.call('RENAME', P .. 'occupied', P .. 'vacant') end      -- nodes say what is (change.lua)
elseif not is_vouched then
    leap()
elseif head.seq < seen then
    head = begin(head.epoch, seen + 1)      -- seen in an older epoch: no number comes again
end
return { text(head.epoch), text(head.seq), is_new and 1 or 0, head.proof, voucher }
