// kinds_line.mjs — what happens to the line between hubs and Redis (lib/line.mjs).
const UNANSWERED = /redis: .*(does not answer|deaf|timed out|closed|refused|reset|broken)/i;
const again = { log: /redis: away: /, counts: 'carillon_redis_connects_total' };

const found = { ...again, log: UNANSWERED };

// On all lines, or on one.
const onLines = (change) => (world, chance) => {
    const hubs = world.drawHubs(chance);
    for (const line of world.linesOf(hubs)) change(line, chance);
    return hubs;
};
const heal = (world) => { for (const line of world.lines) line.heal(); };
const held = (ways, kind) => ({ ...again, red: UNANSWERED, hold: [6000, 8000], hurt: onLines((line) => line.hold(ways, kind)), heal });

export const LINE_KINDS = {
    'black hole to Redis': held(['to']),
    'black hole from Redis': held(['from']),
    'black hole both ways': held(['to', 'from']),
    'black hole from Redis to the listener': held(['from'], 'listener'),
    'black hole of commands': held(['to', 'from'], 'commands'),
    'a line that stands for a moment': { hold: [200, 2000], hurt: onLines((line) => line.hold(['to', 'from'])), heal },
    // Nobody heals it: the hub has to find out. A new link is there at once, so it is red only for a moment.
    'half-open: both links forgotten': { ...found, hold: [6000, 7000], hurt: onLines((line) => line.forget()) },
    'half-open: the listener forgotten': { ...found, hold: [6000, 7000], hurt: onLines((line) => line.forget('listener')) },
    'half-open: commands forgotten': { ...found, hold: [6000, 7000], hurt: onLines((line) => line.forget('commands')) },
    'lines reset': { ...again, hold: [0, 500], hurt: onLines((line) => line.reset()) },
    'lines reset, and nobody answers the next': {
        ...again, red: UNANSWERED, hold: [4000, 7000], heal,
        hurt: onLines((line) => { line.hold(['to', 'from']); line.reset(); }),
    },
    'lines reset again and again': { ...again, red: UNANSWERED, hold: [1500, 4000], heal, hurt: onLines((line) => { line.refuses = true; line.reset(); }) },
    'half a second of delay': { hold: [2000, 5000], hurt: onLines((line) => { line.delay = 500; }), heal },
};
