// A speaker's talk as smooth bands, for stretches too long for single windows: the height says how much was spoken, the
// parts how much of it sounded like what. Letters stand where a band is thick enough.
import { binsOf } from "./session.js";
import { svg } from "./svg.js";

const BIN_PX = 4;
const SPREAD_BINS = 1.6;
const LETTER_PX = 15;
const LETTERS_APART_PX = 110;
const LETTER_BINS = 2; // so many from an end a letter is whole
const THINNEST_PX = 2;

const kernel = Array.from({ length: 11 }, (_, i) => Math.exp(-(((i - 5) / SPREAD_BINS) ** 2) / 2));
const weight = kernel.reduce((sum, value) => sum + value, 0);

function smooth(values) {
  return Float64Array.from(values, (_, at) => {
    let sum = 0;
    for (let k = 0; k < kernel.length; k += 1) sum += kernel[k] * (values[at + k - 5] ?? 0);
    return sum / weight;
  });
}

// Smoothed seconds of speech a bin, a column a label and the last one unclear, with their sum.
export function flow(session, people, scale) {
  const count = Math.max(8, Math.round(scale.width / BIN_PX));
  const sums = Array.from({ length: session.labels.length + 1 }, () => new Float64Array(count));
  for (const person of people) {
    binsOf(person, session.labels.length, scale.from, scale.to, count).forEach((column, label) =>
      column.forEach((value, bin) => { sums[label][bin] += value; }));
  }
  const columns = sums.map(smooth);
  const total = Float64Array.from({ length: count }, (_, bin) => columns.reduce((sum, column) => sum + column[bin], 0));
  return { columns, total, count, binS: (scale.to - scale.from) / count };
}

// The amount of speech that fills a row: what the busiest tenth of the bins reach, so that one long turn does not make
// everything else thin.
export function usualMost(flows) {
  const busy = flows.flatMap(({ total }) => [...total].filter((value) => value > 0)).sort((a, b) => a - b);
  return busy[Math.floor(0.9 * busy.length)] ?? 1;
}

// `most` is the amount of speech that fills the height.
export function bands(session, data, scale, top, height, most, lettered = true) {
  const { columns, total, count } = data;
  const group = svg("g", { class: "bands" });
  const x = (bin) => scale.x + ((bin + 0.5) / count) * scale.width;
  const full = Array.from(total, (value) => (value < 0.004 * data.binS ? 0 : Math.max(THINNEST_PX, Math.min(1, Math.sqrt(value / most)) * height)));
  let upper = full.map((value) => top + (height + value) / 2);
  for (const label of [session.labels.length, ...[...session.order].reverse()]) {
    const lower = upper;
    upper = lower.map((y, bin) => y - (total[bin] > 0 ? (columns[label][bin] / total[bin]) * full[bin] : 0));
    const thick = lower.map((y, bin) => y - upper[bin]);
    if (Math.max(...thick) < 0.4) continue;
    const tone = session.tones[label];
    const css = label === session.labels.length ? "hatched" : `area ${tone.css}`;
    group.append(svg("path", { class: css, d: ribbon(upper, lower, x) }));
    if (lettered && css !== "hatched") group.append(...letters(tone, thick, upper, x));
  }
  return group;
}

function ribbon(upper, lower, x) {
  const there = upper.map((y, bin) => `${x(bin).toFixed(1)} ${y.toFixed(1)}`).join("L");
  const back = lower.map((y, bin) => `${x(bin).toFixed(1)} ${y.toFixed(1)}`).reverse().join("L");
  return `M${there}L${back}z`;
}

function letters(tone, thick, upper, x) {
  const inside = (bin) => bin >= LETTER_BINS && bin < thick.length - LETTER_BINS;
  const peaks = thick.map((value, bin) => bin).filter((bin) => thick[bin] >= LETTER_PX && inside(bin)).sort((a, b) => thick[b] - thick[a]);
  const taken = [];
  for (const bin of peaks) {
    if (taken.length < 6 && taken.every((other) => Math.abs(x(other) - x(bin)) >= LETTERS_APART_PX)) taken.push(bin);
  }
  return taken.map((bin) => svg("text", { class: `letter ${tone.css}`, x: x(bin).toFixed(1), y: (upper[bin] + thick[bin] / 2 + 4).toFixed(1) }, tone.letter));
}
