-- change.lua: stands behind age.lua before scripts that see what is to become an event: j somebody has come to a channel, l left it, o it has
-- its first subscriber of all nodes, v it has none any more. Noted in the same script, it is decided once, and a node that ends at once
-- takes nothing with it: another one makes the event of it (event.lua). Noted before anything is written: where that may not be done nothing is. `wants` are the letters of what this node knows to be wanted.
--
--   occupied  set: channels with a subscriber, while that is to be told (senders.lua); of this epoch: in a new one nodes say it again, and it is told
--   vacant    set: what was in it in the epoch before, until it is seen which have no subscriber any more (vacated.lua)
local function note(wants, change, channel, user, info)
    if not string.find(wants, change, 1, true) then return end
    local number = redis.call('HINCRBY', P .. 'queue', 'outbox', 1)
    if number == 1 then      -- or it was lost: a number that a node still has in hand from before is none of these
        number = clock() * 1000
        redis.call('HSET', P .. 'queue', 'outbox', text(number))
    end
    redis.call('XADD', P .. 'outbox', text(number) .. '-0', 'c', change .. struct.pack('<Bc0Bc0', #channel, channel, #user, user) .. info)
    redis.pcall('PUBLISH', P .. 'words', 'qc')      -- who may not is looked after with the next beat
end

local function has_subscribers(channel, but) return redis.call('PUBSUB', 'NUMSUB', P .. 'm:' .. channel)[2] > but end

local function vacate(wants, channel)
    if redis.call('SISMEMBER', P .. 'occupied', channel) == 0 then return end
    note(wants, 'v', channel, '', '')
    redis.call('SREM', P .. 'occupied', channel)
end
