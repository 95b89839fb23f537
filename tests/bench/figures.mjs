// figures.mjs: from the rounds of a row to what can be said about them, and how it is printed.
export const median = values => {
  const sorted = [...values].sort((a, b) => a - b), half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
};
const range = values => [Math.min(...values), Math.max(...values)];
export const BUSY = 0.1;                             // others' share of the machine beyond which it is told
const reaches = (goal, value) => goal.more ? value >= goal.limit : value <= goal.limit;

// hub, base: one object of figures per round; the rounds are pairs, taken one after the other. others: what other processes used of the machine.
export function summarise(figure, hub, base, others) {
  const ours = hub.map(r => r[figure.key]), theirs = base.map(r => r[figure.key]).filter(Number.isFinite);      // some figures are the hub's alone
  const ratios = ours.map((value, i) => value / theirs[i]).filter(Number.isFinite);
  const it = { ...figure, hub: ours, base: theirs, median: median(ours), range: range(ours) };
  if (theirs.length > 0) Object.assign(it, { base_median: median(theirs), base_range: range(theirs), ratio: median(ours) / median(theirs), ratio_range: range(ratios) });
  return { ...it, verdict: verdict(it, others) };
}

// A goal is reached or missed when the rounds agree about it; when some reach it and some do not, the noise is larger than the difference.
// What is measured by the clock says little while others use the machine.
function verdict({ goal, wall, ratio_range: pairs, range: own, ratio, median: ours }, others) {
  if (!goal) return '';
  const [low, high] = goal.ratio ? pairs : own;
  const met = reaches(goal, goal.ratio ? ratio : ours) ? 'reached' : 'MISSED';
  if (reaches(goal, low) !== reaches(goal, high)) return `${met}, but the rounds disagree`;
  if (high > 2 * low) return `${met}, but the rounds differ by × ${(high / low).toFixed(1)}`;
  return wall && others > BUSY ? `${met}, but others were busy` : met;
}

export const figure = n => n === undefined || !Number.isFinite(n) ? '' : Math.abs(n) >= 1000 ? Math.round(n).toLocaleString('en') : Math.abs(n) >= 100 ? n.toFixed(0) : n.toPrecision(3);
const spread = r => r ? `${figure(r[0])} … ${figure(r[1])}` : '';
const times = n => n === undefined || !Number.isFinite(n) ? '' : `× ${n.toFixed(2)}`;

// The cells of one line: what, hub, its range, baseline, its range, ratio, range of ratios, goal, verdict.
const nameOf = (row, f, first) => first ? `${row.name}${f.label ? `: ${f.label}` : ''}` : `– ${f.label}`;
const pairs = f => f.ratio_range && f.hub.length > 1 ? f.ratio_range.map(r => r.toFixed(2)).join(' … ') : '';
export function cells(row, f, first) {
  return [nameOf(row, f, first), `${figure(f.median)} ${f.unit}`, spread(f.range), f.base_median === undefined ? '' : figure(f.base_median), spread(f.base_range),
    times(f.ratio), pairs(f), f.goal?.text ?? '', f.verdict];
}
export const heads = ['', 'hub', 'range', 'baseline', 'range', 'ratio', 'range', 'goal', ''];

// The same for a page: ranges in brackets.
const bracketed = (text, range) => range ? `${text} (${range})` : text;
export function pageCells(row, f, first) {
  const [name, ours, own, theirs, their, ratio, both, goal, verdict] = cells(row, f, first);
  return [name, bracketed(ours.trim(), f.hub.length > 1 && own), bracketed(theirs, f.base.length > 1 && their), bracketed(ratio, both), goal, verdict];
}
export const pageHeads = ['what', 'hub: median (range)', 'baseline', 'ratio', 'goal', ''];

const widths = [66, 16, 21, 9, 21, 8, 13, 11, 0];
export const line = texts => texts.map((t, i) => t.padEnd(widths[i])).join(' ').trimEnd();
export const markdown = texts => `| ${texts.join(' | ')} |`;
