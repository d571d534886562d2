// A row of cells, one a window: the note's height and the colour say what, the strength how sure. A path a look, so that
// a thousand windows are a handful of elements.
import { firstAfter, levelOf } from "./session.js";
import { svg } from "./svg.js";

const NOTE_PX = 3;

export function cells(session, person, scale, top, height) {
  const areas = new Map(), notes = new Map();
  let unclear = "";
  for (let i = firstAfter(person, scale.from); i < person.start.length && person.start[i] < scale.to; i += 1) {
    const x = scale.at(person.start[i]);
    const full = scale.at(person.end[i]) - x;
    const width = Math.max(1, full - (full > 4 ? 0.75 : 0));
    if (person.why[i]) {
      unclear += box(x, top, width, height);
      continue;
    }
    const tone = session.tones[person.label[i]];
    const look = `${tone.css} s${levelOf(person.sure[i])}`;
    const y = top + 3 + (1 - tone.height) * (height - 6 - NOTE_PX);
    areas.set(look, (areas.get(look) ?? "") + box(x, top, width, height));
    notes.set(look, (notes.get(look) ?? "") + box(x, y, width, NOTE_PX));
  }
  const group = svg("g", { class: "cells" });
  if (unclear) group.append(svg("path", { class: "hatched", d: unclear }));
  for (const [look, d] of areas) group.append(svg("path", { class: `area ${look}`, d }));
  for (const [look, d] of notes) group.append(svg("path", { class: `note ${look}`, d }));
  return group;
}

function box(x, y, width, height) {
  return `M${x.toFixed(1)} ${y.toFixed(1)}h${width.toFixed(1)}v${height}h${(-width).toFixed(1)}z`;
}
