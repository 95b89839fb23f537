// proc.mjs — what /proc tells about a hub: CPU time, memory, open descriptors, listening state of a slow reader.
import { readFileSync, readdirSync } from 'node:fs';
import { windowOf } from './wait.mjs';

export const TICKS_PER_SECOND = 100;   // USER_HZ, a constant of Linux's interface to user space

// User and system time of all threads, in ticks.
export function cpuTicks(pid) {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');   // the name before it may contain anything
    return Number(fields[11]) + Number(fields[12]);                    // utime, stime
}

// The part of one core used over a window: 1 is a thread that spins.
export async function cpuShare(pid, ms = 2000) {
    const before = cpuTicks(pid);
    const begun = process.hrtime.bigint();
    await windowOf(ms);
    const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
    return (cpuTicks(pid) - before) / TICKS_PER_SECOND / seconds;
}

export function openFiles(pid) {
    return readdirSync(`/proc/${pid}/fd`).length;
}

export function residentMiB(pid) {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))[1]) / 1024;
}

export function isAlive(pid) {
    try { process.kill(pid, 0); return true; } catch { return false; }
}
