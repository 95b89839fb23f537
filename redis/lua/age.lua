-- age.lua: stands behind common.lua before scripts that know of nodes: time that counts for leases and graces.
--
--   pulse    string, doubles: the server's clock at the last beat of any node · age · age from which on graces end · the queue's clock then (lease.lua)
--   leases   sorted set: the leases that are held, by the age until which they are
--   burials  sorted set: the leases that were lost or given back and whose members are not all taken out, by the age until which one node
--            has that for its work
--   nodes    hash: of each lease what its node last said
--   held:L   hash: of lease L how many members each channel has; under '' how often that has been changed
--
-- Age grows with the server's clock while nodes beat, at most STEP a beat: while Redis, or all nodes, are away it stands still, and so
-- does it when the clock is set. So nobody loses a lease because Redis was away, and who was away with it has time to come back.
local STEP, SETTLE = 1500, 3000

local function read_age(now)      -- and the age from which on graces end
    local pulse = redis.call('GET', P .. 'pulse')
    if not pulse then return 0, 0, 0 end
    local last, age, calm = struct.unpack('<ddd', pulse)
    return age + math.max(0, math.min(now - last, STEP)), calm, now - last
end

local function is_held(lease) return redis.call('ZSCORE', P .. 'leases', lease) end
