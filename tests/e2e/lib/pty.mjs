// pty.mjs — the binary at a terminal: what a person sees, and keys that are pressed. Node has no pseudo terminals; Python has.
//
//   const run = scope.run(['sub', 'a'], atTerminal());     stdout is the screen's bytes (both streams), stdin are keys: press(run, '\x03')
import { spawnSync } from 'node:child_process';

// Becomes the command on a new terminal, hands bytes both ways, and ends as the command did.
const PROGRAM = `
import os, pty, sys
status = pty.spawn(sys.argv[1:])
sys.exit(os.waitstatus_to_exitcode(status) % 256)
`;

export const noTerminal = spawnSync('python3', ['-c', 'import pty']).status !== 0 && 'there is no python3 on this machine';

export const atTerminal = (options = {}) => ({ input: null, ...options, env: { TERM: 'xterm', TZ: 'UTC', ...options.env }, under: ['python3', '-c', PROGRAM] });
export const press = (run, keys) => run.child.stdin.write(keys);
