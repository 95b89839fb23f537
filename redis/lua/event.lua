-- event.lua: an event that is no message of any channel gets its number, and is kept.
--
-- ARGV  1 channel, "" none   2 the message as store_block.h has it, without seq, prev and time   3 proof: 8 random bytes
--       4 length of the index   5 what it is and whom it is for (queue.lua)
--       6 digest of the idempotency key, "" none   7 of the content   8 ms for which that is known
--       9 what it comes of: a number of the outbox, "" nothing; only who takes that out makes an event of it
-- -> {"ok", epoch, seq, time} · {"replay", epoch, seq, time, 0} · {"reused"} · {"gone"}: another node has made it, or nobody wants it · {"none"} · {"memory"}
if ARGV[2] == '' then return { 'memory' } end
local head, head_before = read_head()
if not head then return { 'none' } end
local first = first_of_key(ARGV[6], ARGV[7])
if first then return first end

if ARGV[9] ~= '' and redis.call('XDEL', P .. 'outbox', ARGV[9] .. '-0') == 0 then return { 'gone' } end
if ARGV[5] == '' then return { 'gone' } end      -- nobody wants it any more
head.seq, head.time, head.proof = head.seq + 1, math.max(clock(), head.time), ARGV[3]
write_head(head)
local why = failure(add_to_index(head.seq, ARGV[4], '', head.time, head.proof, 0))
if why ~= '' then
    redis.call('SET', P .. 'head', head_before)
    return is_forbidden(why) and not_allowed('XADD') or { 'none' }
end
keep_event(head, ARGV[1], struct.pack('<I8I8I8', head.seq, 0, head.time) .. ARGV[2], ARGV[5])
remember_key(ARGV[6], ARGV[7], ARGV[8], head, 0)
return { 'ok', text(head.epoch), text(head.seq), text(head.time) }
