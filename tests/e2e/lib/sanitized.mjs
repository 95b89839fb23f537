// sanitized.mjs — what is different when the binary carries a sanitizer (make asan, make tsan set SANITIZER to its name).
//
// Nothing is looked at less closely but figures of CPU and memory: the sanitizer has its own of both (shadow memory, a
// quarantine of what was freed, checks at every access), so they would say nothing about the hub.
export const SANITIZER = process.env.SANITIZER ?? '';

// The reason to leave out a measurement, or false:  scenario('…', { skip: unmeasured }, …)  if (!unmeasured) assert…
export const unmeasured = SANITIZER ? `${SANITIZER} has CPU and memory of its own` : false;

// Deadlines only end a broken test; a hub that is ten times slower is not broken. (Timers go up to 2^31 - 1.)
export const patient = (ms) => SANITIZER ? Math.min(10 * ms, 2 ** 31 - 1) : ms;
