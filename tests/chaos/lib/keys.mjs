// keys.mjs — every key in Redis goes by itself, or is one of a few that are bounded otherwise.

// kind of key -> what bounds it
export const LASTING = [
    [/^head$/, 'one'], [/^run$/, 'one'], [/^beat$/, 'one'], [/^pulse$/, 'one'],
    [/^nodes$/, 'hubs that live'], [/^leases$/, 'hubs that live'], [/^held:/, 'one of each hub that lives, buried with it'],
    [/^burials$/, 'hubs that have died and are not buried'], [/^leaving$/, 'members in their grace'], [/^records$/, 'API keys and revocations'],
    [/^index$/, 'redis.index entries'], [/^evicted$/, 'one'], [/^names$/, 'channels that keep messages: swept by publishes and heartbeats'],
    [/^marks$/, '1,024 intervals of redis.remember'], [/^leaps$/, '64'],
    [/^(events|event:\d+)$/, 'webhooks.retention and .max_bytes; what is pending: webhooks.queue of each endpoint'],
    [/^(due|heads):[0-9a-f]{16}$/, 'what is pending'], [/^lane:[0-9a-f]{16}:[0-9a-f]{16}$/, 'what is pending'],
    [/^dead(:[0-9a-f]{16})?$/, 'webhooks.dead_retention and .max_bytes'], [/^(queue|senders|standings)$/, 'endpoints'], [/^removed$/, 'endpoints removed in a day'],
    [/^wants$/, 'one'], [/^stay$/, 'one'], [/^rooms$/, 'rooms.max'], [/^(room|seats|peers):/, 'rooms.max and their members'],
    [/^sat:/, 'members of hubs that live, buried with them'], [/^room_due$/, 'members that are away, and empty rooms'], [/^(occupied|vacant)$/, 'channels with subscribers'], [/^outbox$/, 'changes that a hub is about to make events of'],
];

// What is neither, as sentences.
export async function unbounded(redis) {
    const list = "local r, c = {}, '0' repeat local s = redis.call('SCAN', c, 'COUNT', 1000) c = s[1] for _, k in ipairs(s[2]) do " +
        "if redis.call('PTTL', k) == -1 then r[#r + 1] = k end end until c == '0' return r";
    const keys = (await redis.say('EVAL', list, 0)).split('\n').filter(Boolean);
    const strange = keys.filter((key) => !LASTING.some(([pattern]) => pattern.test(key.replace(/^carillon:\{0\}:/, ''))));
    return strange.slice(0, 10).map((key) => `the key ${key} stays for ever`);
}
