// rooms.mjs — members of one room on any hub, who speak to each other in numbered signals, lose their connections and come back with their
// tickets, wherever; and a ledger of what each was answered and heard.
//
//   taken     answered ok: the other one hears it, once, behind all that was taken before it, or is told that something is lost
//   refused   nothing was done: nobody hears it
//   maybe     nobody knows (the line was cut, outcome_unknown): said again with its number until it is known; what a new stay cannot say again
//             under its number may have come
import { request } from '../../e2e/lib/http.mjs';
import { eventually } from '../../e2e/lib/wait.mjs';
import { WsClient } from '../../e2e/lib/ws.mjs';
import { pause } from './load.mjs';
import { USERS } from './visitors.mjs';

const ROOM = 'chaos', ANSWER_MS = 4500;
export const ROOM_ARGS = ['--rooms.grace=8s', '--rooms.empty_timeout=1s'];

class Talker {
    heard = new Map();      // who -> [k, …] in order
    lost = 0;               // when it was last told that something is missing
    stays = 0;
    lastSeq = 0;
    said = [];              // { to, k, n, stay, state, at: when it was said first, code, tries }
    wrong = [];

    constructor(rooms, user) { Object.assign(this, { rooms, user }); }

    #enter({ you, resumed, recovered }) {
        if (!resumed || !recovered) this.lost = Date.now();
        else if (this.lastSeq !== you.seq) this.wrong.push(`${this.user}: recovered up to ${you.seq}, and it has ${this.lastSeq}`);
        if (!resumed) Object.assign(this, { n: 0, stays: this.stays + 1 });
        Object.assign(this, { ticket: you.resume, lastSeq: you.seq, isIn: true });
    }

    #take(frame) {
        if (frame.type === 'users-in-room') this.#enter(frame);
        if (frame.room !== ROOM || !frame.seq) return;
        if (frame.seq <= this.lastSeq) this.wrong.push(`${this.user}: number ${frame.seq} after ${this.lastSeq}`);
        else if (frame.seq > this.lastSeq + 1 && this.isIn) this.wrong.push(`${this.user}: number ${frame.seq} after ${this.lastSeq}: a hole, on one connection`);
        this.lastSeq = Math.max(this.lastSeq, frame.seq);
        if (frame.type === 'signal') this.heard.set(frame.from, [...this.heard.get(frame.from) ?? [], { k: frame.data.k, at: Date.now(), stay: this.stays }]);
    }

    // Frames are looked at when they come, and no more when the connection was given up.
    async #connect() {
        this.isIn = false;
        const client = this.client = new WsClient(this.rooms.chance.one(this.rooms.hubs).public, `/ws?${this.rooms.as(this.user)}`);
        let seen = 0;
        const look = () => { while (this.client === client && seen < client.frames.length) this.#take(client.frames[seen++]); };
        client.socket.on('message', look);
        await client.waitFor(() => {
            if (client.closed) throw new Error('it was closed');
            return client.frames.find(({ type }) => type === 'welcome');
        }, 'a member to be welcome', ANSWER_MS);
    }

    // null: the connection has ended, or does not answer.
    async #ask(frame) {
        const { client } = this, ref = `q${this.refs = (this.refs ?? 0) + 1}`;
        client.send({ ...frame, room: ROOM, ref });
        const answer = await client.waitFor(() => client.frames.find((f) => f.ref === ref) ?? (client.closed && { type: 'closed' }), 'an answer', ANSWER_MS).catch(() => null);
        return answer?.type === 'closed' ? null : answer;
    }

    async #join() {
        await this.#connect();
        const back = this.ticket && await this.#ask({ type: 'join', resume: this.ticket, last_seq: this.lastSeq });
        if (this.ticket && !back) return;
        if (!back || back.code === 'resume_failed') {
            this.ticket = null;
            await this.#ask({ type: 'join' });
        }
    }

    // It is in the room, on a connection that lives.
    async ready(isNeeded = () => true) {
        while (isNeeded()) {
            if (this.isIn && !this.client.closed) return true;
            this.client?.terminate();
            await this.#join().catch(() => {});
            if (!this.isIn) await pause(50 + this.rooms.chance.below(200));
        }
        return false;
    }
    cut() { if (this.client && !this.client.closed) this.client.terminate(); }

    async say(to) {
        const one = { to, k: this.said.length + 1, n: ++this.n, stay: this.stays, state: 'maybe', at: Date.now() };
        this.said.push(one);
        for (;;) {
            if (!await this.ready() || this.stays !== one.stay) return one;
            const answer = await this.#ask({ type: 'signal', to, data: { k: one.k }, n: one.n });
            one.code = answer?.code ?? answer?.type;
            if (answer?.type === 'ok') one.state = 'taken';
            else if (answer && answer.code === 'not_in_room') { this.cut(); await this.client.end().catch(() => {}); continue; }      // it was put out: its connection is about to be closed
            else if (answer && answer.code !== 'outcome_unknown') one.state = one.tries ? 'maybe' : 'refused';
            else { one.tries = true; this.cut(); continue; }
            return one;
        }
    }

    async talk() {
        while (this.rooms.running) {
            await this.ready(() => this.rooms.running);
            if (!this.rooms.running) return;
            const { code } = await this.say(this.rooms.chance.one(USERS.filter((user) => user !== this.user)));
            if (code === 'redis_away' || this.rooms.chance.below(4) === 0) await pause(this.rooms.chance.below(60));
            if (this.rooms.chance.below(150) === 0) this.cut();
        }
    }
}

export class Rooms {
    running = false;
    #busy = [];

    constructor(hubs, chance, as) {
        Object.assign(this, { hubs, chance, as });
        this.talkers = USERS.map((user) => new Talker(this, user));
    }

    begin() {
        this.running = true;
        this.#busy = this.talkers.map((one) => one.talk());
    }
    async end() {
        this.running = false;
        await Promise.all(this.#busy);
    }

    // Everybody is in, hears everybody, and is shown on each hub.
    async flows(headers, ms) {
        const end = Date.now() + ms;
        await eventually(async () => {
            for (const one of this.talkers) await one.ready(() => Date.now() < end);
            for (const one of this.talkers)
                for (const to of USERS) if (to !== one.user && (await one.say(to)).state !== 'taken') return false;
            return true;
        }, 'members to speak', ms, () => JSON.stringify(this.talkers.map((one) => [one.user, one.isIn, one.said.slice(-3)])));
        await eventually(() => this.#missing().length === 0, 'members to hear', ms, () => this.#missing().slice(0, 5).join('\n'));
        const said = () => Promise.all(this.hubs.map(async (hub) => (await request(hub, `/v1/rooms/${ROOM}`, { headers })).json?.users?.map((u) => u.user_id + (u.away ? ' away' : '')).sort().join()));
        await eventually(async () => (await said()).every((users) => users === USERS.join()), 'all hubs to show who is in the room', ms, async () => JSON.stringify(await said()));
    }

    #missing() {
        return this.talkers.flatMap((one) => one.said.filter((s) => s.state === 'taken').flatMap((s) => {
            const to = this.talkers.find(({ user }) => user === s.to);
            const isHeard = (to.heard.get(one.user) ?? []).some(({ k }) => k === s.k);
            return isHeard || s.at <= to.lost ? [] : [`${one.user} to ${s.to}: ${s.k} was taken and did not come (${s.tries ? 'said again, ' : ''}${s.at - to.lost} ms after it was told a loss)`];
        }));
    }

    // What is wrong, as sentences. What was said again after data were lost may come again.
    broken({ loses }) {
        const wrong = this.talkers.flatMap((one) => one.wrong);
        for (const to of this.talkers)
            for (const [from, heard] of to.heard) {
                const said = new Map(this.talkers.find(({ user }) => user === from).said.map((s) => [s.k, s]));
                heard.forEach(({ k }, i) => {
                    if (said.get(k)?.state === 'refused') wrong.push(`${from} to ${to.user}: ${k} came, and was refused (${said.get(k).code})`);
                    if (i > 0 && k <= heard[i - 1].k && !(loses && said.get(k)?.tries)) wrong.push(`${from} to ${to.user}: ${k} after ${heard[i - 1].k}`);
                });
            }
        return [...wrong, ...this.#missing()];
    }

    get sums() {
        const said = this.talkers.flatMap((one) => one.said).filter((s) => s.state !== 'old');
        return `${said.filter((s) => s.state === 'taken').length} of ${said.length} signals taken, ${this.talkers.reduce((n, one) => n + one.stays, 0)} stays`;
    }
    forget() { for (const one of this.talkers) Object.assign(one, { heard: new Map(), wrong: [], said: one.said.map((s) => ({ ...s, state: 'old' })) }); }

    close() { this.running = false; for (const one of this.talkers) one.cut(); }
}

// Keys of rooms that are left when nobody is in one.
export async function roomsLeft(redis) {
    const keys = (await redis.say('KEYS', 'carillon:{0}:*')).split('\n');
    return keys.filter((key) => /^carillon:\{0\}:(rooms|room:|seats:|peers:|told:|sat:|room_due)/.test(key)).map((key) => `the key ${key} is there, and nobody is in a room`);
}
