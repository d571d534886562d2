// One speaker's probabilities: a stepped line a label, one above the other, each from never to certain. Smoothed where
// single windows would be too thin.
import { axis, Scale } from "./axis.js";
import { decode, firstAfter } from "./session.js";
import { hatch, svg } from "./svg.js";

const RIDGE_PX = 40;
const GAP_PX = 14;
const NAME_PX = 18;
const NARROW_PX = 560;
const CELL_PX = 3.6;
const BREAK_S = 0.5; // silence longer than this breaks a line: nothing was said, so nothing is drawn
const BIN_PX = 6;
const BRIDGED_BINS = 4; // where bins are drawn, a line goes on over as many without speech

export class Voice {
  constructor(root, session) {
    Object.assign(this, { root, session, voice: null });
    this.picture = svg("svg", { class: "ridges", role: "img", "aria-label": "Probability of each label over time" });
    root.replaceChildren(this.picture);
  }

  load(body, name) {
    this.voice = { ...decode(body), probabilities: body.probabilities, id: body.id, name };
  }

  add(event) {
    this.session.append(this.voice, event);
  }

  draw(range) {
    const { session, voice } = this;
    if (!voice) return;
    const width = Math.floor(this.root.clientWidth);
    const above = width < NARROW_PX;
    const gutter = above ? 0 : 96;
    const scale = new Scale(range.from, range.to, gutter, width - gutter - 1);
    const step = RIDGE_PX + GAP_PX + (above ? NAME_PX - 8 : 0);
    const single = 3 * scale.pxPerS >= CELL_PX;
    const steps = single ? windowsIn(voice, scale) : binned(voice, scale);
    const pauseS = single ? BREAK_S : (BRIDGED_BINS * BIN_PX) / scale.pxPerS;
    const bottom = 4 + (above ? NAME_PX - 8 : 0) + session.labels.length * step - GAP_PX;
    const rows = session.order.map((label, row) => ridge(session, label, steps, pauseS, scale, 4 + (above ? NAME_PX - 4 : 0) + row * step, above));
    const family = getComputedStyle(this.root).fontFamily;
    this.picture.setAttribute("aria-label", `Probability of each label over time for ${voice.name}. The table below has the figures.`);
    this.picture.setAttribute("viewBox", `0 0 ${width} ${bottom + 26}`);
    this.picture.replaceChildren(hatch("voice-hatch"), veil(steps, scale, bottom), ...rows, axis(scale, bottom, `11.5px ${family}`));
  }
}

function windowsIn(voice, scale) {
  const found = [];
  for (let i = firstAfter(voice, scale.from); i < voice.start.length && voice.start[i] < scale.to; i += 1) {
    found.push({ start: voice.start[i], end: voice.end[i], unclear: voice.why[i] > 0, shares: voice.probabilities.map((column) => column[i] / 100) });
  }
  return found;
}

function binned(voice, scale) {
  const count = Math.max(8, Math.round(scale.width / BIN_PX));
  const binS = (scale.to - scale.from) / count;
  const bins = new Map();
  for (const { start, end, unclear, shares } of windowsIn(voice, scale)) {
    const bin = Math.floor(((start + end) / 2 - scale.from) / binS);
    const held = bins.get(bin) ?? bins.set(bin, { length: 0, clear: 0, sums: shares.map(() => 0) }).get(bin);
    held.length += end - start;
    held.clear += unclear ? 0 : end - start;
    shares.forEach((share, label) => { held.sums[label] += share * (end - start); });
  }
  return [...bins].sort(([a], [b]) => a - b).map(([bin, { length, clear, sums }]) => ({
    start: scale.from + bin * binS, end: scale.from + (bin + 1) * binS, unclear: clear < length / 2, shares: sums.map((sum) => sum / length),
  }));
}

function ridge(session, label, steps, pauseS, scale, y, above) {
  const tone = session.tones[label];
  const base = y + RIDGE_PX;
  let line = "", under = "", last = -Infinity;
  for (const { start, end, shares } of steps) {
    const top = (base - shares[label] * RIDGE_PX).toFixed(1), from = scale.at(start).toFixed(1), to = scale.at(end).toFixed(1);
    if (start - last > pauseS) {
      if (line) under += `V${base}z`;
      line += `M${from} ${top}`;
      under += `M${from} ${base}V${top}`;
    } else {
      line += `V${top}`;
      under += `V${top}`;
    }
    line += `H${to}`;
    under += `H${to}`;
    last = end;
  }
  if (under) under += `V${base}z`;
  const right = scale.x + scale.width;
  return svg("g", { class: tone.css },
    svg("text", { class: "name", x: 0, y: above ? y - 4 : y + RIDGE_PX / 2 + 5 }, tone.word),
    svg("line", { class: "half", x1: scale.x, x2: right, y1: base - RIDGE_PX / 2, y2: base - RIDGE_PX / 2 }),
    svg("path", { class: "under", d: under }), svg("path", { class: "line", d: line }),
    svg("line", { class: "base", x1: scale.x, x2: right, y1: base, y2: base }));
}

function veil(steps, scale, bottom) {
  const d = steps.filter(({ unclear }) => unclear).map(({ start, end }) => `M${scale.at(start).toFixed(1)} 0h${(scale.at(end) - scale.at(start)).toFixed(1)}V${bottom}H${scale.at(start).toFixed(1)}z`).join("");
  return svg("path", { class: "veil", d });
}
