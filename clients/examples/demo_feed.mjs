// demo_feed.mjs — something that happens in the pages of the demo: people who chat, figures, jobs, notifications.
//
// The people are members of their rooms, by a stream of events each, as any page without WebSockets would be; they publish over the API.
// A hub that is away for a moment stops nobody.
import { connect } from '../js/carillon.js';
import { countPrimes } from './job.mjs';
import { publish, publishTo } from './publish/publish.mjs';

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const between = (least, most) => least + Math.random() * (most - least);

const TALKS = {
    lobby: [
        ['Ada', 'Good morning! The new bells arrived last night.'],
        ['Basil', 'All eight of them?'],
        ['Ada', 'All eight. The big one took four people.'],
        ['Clara', 'When do we hear them?'],
        ['Ada', 'At noon, if the frame holds.'],
        ['Basil', 'It holds. I have counted every bolt, twice.'],
        ['Clara', 'Then I will tell everybody.'],
        ['Clara', 'Once, and in order.'],
        ['Basil', 'How it works is in https://html.spec.whatwg.org/multipage/server-sent-events.html, by the way.'],
        ['Ada', 'And whoever comes late?'],
        ['Basil', 'Gets what was said in the meantime. Try it: load this page again.'],
        ['Clara', 'Nice. I go and oil the hinges.'],
    ],
    workshop: [
        ['Basil', 'Does anybody have the drawing of the clapper?'],
        ['Clara', 'It hangs beside the door.'],
        ['Basil', 'Found it, thanks.'],
    ],
};

// ---- people ----

async function people({ hub, api }, rooms) {
    const names = [...new Set(Object.values(rooms).flat().map(([name]) => name))];
    for (const name of names) {
        const person = connect(`${hub}?user=${name}`, { transport: 'sse', api });
        person.on('error', () => {});       // it comes back by itself
        for (const room of Object.keys(rooms)) if (rooms[room].some(([who]) => who === name)) person.subscribe(`chat.${room}`, name === 'Ada' && room === 'lobby' ? greet(api) : () => {});
    }
    for (const [room, talk] of Object.entries(rooms)) converse(api, room, talk);
}

async function say(api, room, by, text) {
    await publish(`typing.${room}`, JSON.stringify({ by }), { url: api, ttl: '3s', patience: 1 }).catch(() => {});
    await pause(between(900, 1600) + 25 * text.length);
    await publish(`chat.${room}`, JSON.stringify({ by, text, id: crypto.randomUUID() }), { url: api });
}

async function converse(api, room, talk) {
    for (let i = 0; ; i++) {
        const [by, text] = talk[i % talk.length];
        await say(api, room, by, text).catch(() => {});
        await pause(i % talk.length === talk.length - 1 ? between(20_000, 40_000) : between(1500, 6000));
    }
}

// Whoever says something for the first time is welcomed.
function greet(api) {
    const known = new Set(Object.values(TALKS).flat().map(([name]) => name));
    return ({ data }) => {
        if (typeof data?.by !== 'string' || known.has(data.by)) return;
        known.add(data.by);
        say(api, 'lobby', 'Ada', `Welcome, ${data.by}!`).catch(() => {});
    };
}

// ---- figures ----

const FIGURES = {
    orders:   { at: 42, step: 5, least: 0, most: 120 },
    visitors: { at: 870, step: 40, least: 200, most: 2000 },
    latency:  { at: 38, step: 4, least: 12, most: 240 },
    errors:   { at: 1, step: 1, least: 0, most: 9 },
};

// One that is late is worth nothing: it is not sent again.
async function figures(api) {
    for (;;) {
        const items = Object.entries(FIGURES).map(([name, figure]) => {
            const drift = (figure.least + (figure.most - figure.least) * .35 - figure.at) * .01;
            figure.at = Math.min(figure.most, Math.max(figure.least, figure.at + drift + between(-figure.step, figure.step)));
            return { channel: `metrics.${name}`, data: Math.round(figure.at) };
        });
        await fetch(`${api}/v1/messages`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(items) }).then((r) => r.text(), () => {});
        await pause(1000);
    }
}

// ---- jobs, notifications ----

async function jobs(api) {
    for (let i = 1; ; i++) {
        await countPrimes(`nightly-${i}`, { url: api, limit: 2_000_000, pause: 300 });
        await pause(10_000);
    }
}

const NOTICES = [
    { title: 'Clara mentioned you', text: '“Ask the bell founder, who knows.”', kind: 'mention' },
    { title: 'Your order is on its way', text: 'Eight clappers, forged. Expected on Tuesday.', kind: 'order' },
    { title: 'Deployment finished', text: 'tower-2 runs version 4.2.', kind: 'done' },
    { title: 'Disk is almost full', text: 'tower-1 has 3 % left.', kind: 'alarm' },
];

async function notices(api) {
    for (let i = 0; ; i++) {
        await publishTo('users/ann', JSON.stringify(NOTICES[i % NOTICES.length]), { url: api }).catch(() => {});
        await pause(between(8000, 20_000));
    }
}

export function feed({ hub, api }) {
    people({ hub, api }, TALKS);
    figures(api);
    jobs(api);
    notices(api);
}
