// The last windows, oldest first, as cells: the note's height and the colour say what, the strength how sure.
import { html, svg } from "./svg.js";

const KEEP = 60;
const HEIGHTS = { Angry: 1, Happy: 0.75, Neutral: 0.5, Disgust: 0.25, Sad: 0 };

export class Timeline {
  constructor(list, empty, tones) {
    this.list = list;
    this.empty = empty;
    this.tones = tones;
  }

  add({ emotion, confidence, unclear, reason }) {
    this.empty.hidden = true;
    const tone = unclear ? this.tones.Unclear : (this.tones[emotion] ?? { word: emotion, css: "e-other" });
    const text = unclear ? `unclear (${(reason ?? "unsure").replaceAll("_", " ")})` : `sounds ${tone.word}, ${Math.round(confidence * 100)} % sure`;
    const cell = svg("svg", { viewBox: "0 0 34 34", role: "img", "aria-label": text }, svg("title", {}, text));
    if (unclear) {
      cell.append(svg("rect", { class: "track", width: 34, height: 34, rx: 2 }));
      for (let x = -34; x < 34; x += 6) cell.append(svg("line", { class: "hatch", x1: x, y1: 34, x2: x + 34, y2: 0 }));
    } else {
      const strength = 0.28 + 0.72 * Math.min(1, Math.max(0, (confidence - 0.3) / 0.6));
      const y = 4 + (1 - (HEIGHTS[emotion] ?? 0.5)) * 22;
      cell.append(
        svg("g", { class: tone.css },
          svg("rect", { class: "area", width: 34, height: 34, "fill-opacity": strength.toFixed(2) }),
          svg("rect", { class: "note", y, width: 34, height: 4 })),
      );
    }
    this.list.append(html("li", {}, cell));
    while (this.list.children.length > KEEP) this.list.firstElementChild.remove();
  }
}
