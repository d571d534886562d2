// A time axis: where a second lies, and labels that never touch each other.
import { svg } from "./svg.js";
import { clock } from "./times.js";

const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
const APART_PX = 14;

const canvas = document.createElement("canvas").getContext("2d");

export function textWidth(text, font) {
  canvas.font = font;
  return canvas.measureText(text).width;
}

export class Scale {
  constructor(from, to, x, width) {
    Object.assign(this, { from, to, x, width });
  }

  get pxPerS() {
    return this.width / (this.to - this.from);
  }

  at(seconds) {
    return this.x + Math.min(1, Math.max(0, (seconds - this.from) / (this.to - this.from))) * this.width;
  }

  seconds(x) {
    return this.from + Math.min(1, Math.max(0, (x - this.x) / this.width)) * (this.to - this.from);
  }
}

// Ticks and labels below `y`. The step is chosen by the width of the widest label; the ends are kept inside, so
// that the first and the last reach half a label further than the others.
export function axis(scale, y, font) {
  const widest = textWidth(clock(scale.to).replace(/\d/g, "0"), font);
  const step = STEPS_S.find((seconds) => seconds * scale.pxPerS >= Math.max(widest + APART_PX, 1.5 * widest + APART_PX / 2)) ?? STEPS_S.at(-1);
  const group = svg("g", { class: "axis" });
  let free = -Infinity;
  for (let at = Math.ceil(scale.from / step - 1e-9) * step; at <= scale.to + 1e-6; at += step) {
    const text = clock(at);
    const half = textWidth(text, font) / 2;
    const x = scale.at(at);
    const middle = Math.min(scale.x + scale.width - half, Math.max(scale.x + half, x));
    group.append(svg("line", { class: "tick", x1: x.toFixed(1), x2: x.toFixed(1), y1: y + 3, y2: y + 8 }));
    if (middle - half < free) continue;
    group.append(svg("text", { class: "time", x: middle.toFixed(1), y: y + 21, "text-anchor": "middle" }, text));
    free = middle + half + APART_PX / 2;
  }
  return group;
}
