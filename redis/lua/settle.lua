-- settle.lua: how some deliveries stand from now on.
--
-- ARGV  1 lease of the node that has sent them, "": it was not by sending
--       2 for each: number 8 · target 1 · status 1 · tries 2 · which it may have been, a bit for each status 1 (0: any) · due 8 ·
--       settled 8 · attempts: 1 if they are given, 4+n
-- -> {how many others of their lanes are due now, for each "1" if it was done, else "0"}
local lease, batch, at = ARGV[1], ARGV[2], 1
local promoted, done, again = 0, {}, {}

-- Who sends is the one that holds the claim, and a node that was thought dead has no say any more.
local function may_settle(endpoint)
    if lease == '' then return true end
    local sender = redis.call('HGET', P .. 'senders', endpoint)
    return sender and struct.unpack('<Bc0', sender) == lease
end

-- What came of an attempt counts while it is the next one: a node that has lost its claim and has it again may be late, after others.
local function is_next(d, tries) return d.status == PENDING and d.tries == tries - 1 end

local function settle(seq, target, status, tries, only_from, due, settled, attempts)
    local d = read_delivery(seq, target)
    if not d or not may_settle(d.endpoint) then return false end
    if lease ~= '' and not is_next(d, tries) then return d.status == status and d.tries == tries and d.settled == settled end      -- it was asked for again
    if only_from ~= 0 and math.floor(only_from / 2 ^ d.status) % 2 == 0 then return false end
    local key, was = key_of(seq, target), d.attempts
    take_off(key, d)
    if status == REMOVED then
        redis.call('HDEL', P .. 'event:' .. text(seq), target)
        count('bytes', -#was)
    else
        d.status, d.tries, d.due, d.settled, d.attempts = status, tries, due, settled, attempts or was
        write_delivery(seq, target, d)
        enlist(key, d)
        count('bytes', #d.attempts - #was)
    end
    if d.lane ~= NO_LANE and promote(d.endpoint, d.lane, settled) then promoted = promoted + 1 end
    if lease == '' then again[d.endpoint] = true end
    return true
end

while at <= #batch do
    local seq, target, status, tries, only_from, due, settled, has, attempts
    seq, target, status, tries, only_from, due, settled, has, attempts, at = struct.unpack('<I8BBI2BddBI4c0', batch, at)
    done[#done + 1] = settle(seq, target, status, tries, only_from, due, settled, has == 1 and attempts or nil) and '1' or '0'
end
tell_senders('a', again)
return { text(promoted), table.concat(done) }
