// actor-check.mjs — what an actor (actor.mjs) saw, held against what was acknowledged to publishers: each subscription has every message
// once and in order, or a gap between.
//
// Ledger: what was published, by whom it may be, and the order of epochs as they were seen. check() gives what is wrong, as sentences.
import { covers } from './actor.mjs';
import { epochOf, numberOf } from './ledger.mjs';

const CLOCK_MS = 5;       // moments of two processes on one machine

export class Ledger {
    #epochs = [];
    #published = new Map();      // text -> { channel, text, sentAt, ackedAt, id } ; without id: nobody knows whether it is

    add(one) {
        this.#published.set(one.text, one);
        if (one.id && !this.#epochs.includes(epochOf(one.id))) this.#epochs.push(epochOf(one.id));
    }
    get(text) { return this.#published.get(text); }
    get all() { return [...this.#published.values()]; }

    // Positions of all epochs in one row.
    compare(a, b) {
        const epochs = this.#epochs.indexOf(epochOf(a)) - this.#epochs.indexOf(epochOf(b));
        return epochs || numberOf(a) - numberOf(b);
    }
    knows(position) { return this.#epochs.includes(epochOf(position)); }

    acknowledgedOf(name) {
        return this.all.filter((one) => one.id && covers(name, one.channel)).sort((a, b) => this.compare(a.id, b.id));
    }
}

const told = (entry) => entry.gap ? `a gap (${entry.reason}) at ${entry.id}` : `${entry.text} (${entry.channel} ${entry.id})`;

// Nothing twice, nothing back, nothing that was never published or that it did not ask for. A gap's position is just before what follows it.
function orderOf(sub, ledger, loses, say) {
    const texts = new Set();
    let last = null;
    for (const entry of sub.log) {
        if (!ledger.knows(entry.id)) { say(`${told(entry)}: of an epoch that nobody was told`); continue; }
        const order = last ? ledger.compare(entry.id, last.id) : 1;
        if (loses && entry.gap && order < 0) continue;      // told once more to who has read on already
        if (order < 0 || (order === 0 && !entry.gap && !last.gap)) if (!(sub.isIterated && (entry.gap || last.gap))) say(`${told(entry)} after ${told(last)}`);
        if (!last || order > 0) last = entry;
        if (entry.gap) continue;
        // a hub that lost all it had publishes again what it had not answered
        const known = `${epochOf(entry.id)} ${entry.text}`;
        if (texts.has(known)) say(`${told(entry)}: twice`);
        texts.add(known);
        const one = ledger.get(entry.text);
        if (!covers(sub.name, entry.channel)) say(`${told(entry)}: not what it subscribed to`);
        if (!one || one.channel !== entry.channel || (one.id && one.id !== entry.id && epochOf(one.id) === epochOf(entry.id))) say(`${told(entry)}: published as ${JSON.stringify(one)}`);
    }
}

// What it must have from before it was ready, by how it began.
function beginsAfter(sub, ledger) {
    if (sub.since === 'all' || sub.since === '1h') return (one) => sub.begun && epochOf(one.id) === epochOf(sub.begun);
    if (sub.since && /^\w+\.\d+$/.test(sub.since)) return (one) => ledger.compare(one.id, sub.since) > 0;
    return () => false;
}

function isWanted(sub, ledger) {
    const messages = sub.log.filter((entry) => !entry.gap);
    const first = (channel) => messages.find((entry) => sub.since !== 'last' || entry.channel === channel);
    const end = sub.closed || sub.ended ? messages.at(-1) : null, begun = beginsAfter(sub, ledger);
    return (one) => {
        if ((sub.closed || sub.ended) && (!end || ledger.compare(one.id, end.id) > 0)) return false;
        const from = first(one.channel);
        return (from && ledger.compare(one.id, from.id) > 0) || (sub.readyAt && (one.sentAt > sub.readyAt + CLOCK_MS || begun(one)));
    };
}

// A gap between what came before and what came after a missing one tells of it.
function isTold(one, sub, ledger) {
    const before = sub.log.findLast((entry) => !entry.gap && ledger.compare(entry.id, one.id) < 0);
    const after = sub.log.find((entry) => !entry.gap && ledger.compare(entry.id, one.id) > 0);
    return sub.log.some((entry) => entry.gap && (!before || ledger.compare(entry.id, before.id) >= 0) && (!after || ledger.compare(entry.id, after.id) < 0));
}

function completenessOf(sub, ledger, say) {
    const had = new Set(sub.log.map((entry) => entry.id)), wanted = isWanted(sub, ledger);
    const missing = ledger.acknowledgedOf(sub.name).filter((one) => wanted(one) && !had.has(one.id) && !isTold(one, sub, ledger));
    if (missing.length) say(`${missing.length} missing without a gap: ${missing.slice(0, 4).map((one) => `${one.text} (${one.channel} ${one.id})`)}, ready at ${sub.begun}`);
}

// What it was not to have: from now on is not from before. (Who joins a name that somebody here has already begins where the client is,
// which may be behind: a line can be dead without anybody knowing.)
function beginningOf(report, sub, ledger, say) {
    const old = sub.log.filter((entry) => !entry.gap && ledger.get(entry.text)?.ackedAt < sub.askedAt - CLOCK_MS);
    const joins = report.subs.some((other) => other !== sub && other.name === sub.name && other.askedAt <= sub.askedAt);
    const most = sub.since === '-5' ? 5 : sub.since === undefined && !joins ? 0 : Infinity;
    if (old.length > most) say(`${old.length} from before it subscribed, the first of them ${told(old[0])}, ready at ${sub.begun}`);
    const begun = beginsAfter(sub, ledger), early = sub.log.find((entry) => !entry.gap && !begun(entry));
    if (sub.since?.includes('.') && early) say(`${told(early)} is not after ${sub.since}`);
}

function gapsOf(sub, say) {
    const gap = sub.log.find((entry) => entry.gap);
    if (gap) say(`${told(gap)}, though nothing was lost`);
}

// Of what it published itself: answered, and each series in its order.
function publishedOf(report, ledger, say) {
    for (const one of report.published) if (one.error) say(`published ${one.text} to ${one.channel}: ${one.error}`);
    for (const [i, one] of report.published.entries()) {
        const before = report.published.slice(0, i).findLast((other) => other.series === one.series);
        if (before?.id && one.id && ledger.compare(one.id, before.id) <= 0) say(`${one.text} was published as ${one.id}, after ${before.text} ${before.id}`);
    }
}

// loses: the hub lost what it had, so gaps are right. kept: [{ channel, id, data }] that the hub has in the end.
export function check(report, ledger, { loses = false, kept }) {
    const wrong = [];
    for (const [i, sub] of report.subs.entries()) {
        const say = (what) => wrong.push(`${report.name}: subscription ${i} to ${sub.name}${sub.since ? ` since ${sub.since}` : ''}${sub.isIterated ? ', iterated' : ''}${sub.closed ? ', closed' : ''}: ${what}`);
        orderOf(sub, ledger, loses, say);
        completenessOf(sub, ledger, say);
        if (!loses) gapsOf(sub, say);
        if (!loses) beginningOf(report, sub, ledger, say);
        if (sub.ended) say(`ended by ${sub.ended}`);
        if (!sub.closed && !sub.readyAt) say('never ready');
    }
    publishedOf(report, ledger, (what) => wrong.push(`${report.name}: ${what}`));
    const counts = new Map();
    for (const { data } of kept) counts.set(data, (counts.get(data) ?? 0) + 1);
    for (const one of report.published) {
        const count = counts.get(one.text) ?? 0;
        if (count > 1) wrong.push(`${report.name}: ${one.text} was published ${count} times`);
        if (!loses && one.id && count === 0) wrong.push(`${report.name}: ${one.text} was acknowledged as ${one.id}, and is not there`);
    }
    return wrong;
}
