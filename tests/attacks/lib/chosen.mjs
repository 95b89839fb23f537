// chosen.mjs — CASE='obs-fold' make attacks: only the lines of tables with these words in one of their columns.
const WORDS = process.env.CASE;

export const chosen = (rows) => WORDS ? rows.filter((row) => row.some((cell) => typeof cell === 'string' && cell.includes(WORDS))) : rows;
