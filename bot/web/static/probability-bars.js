// The probability of every label in the last answer, as a bar with its figure.
import { html, svg } from "./svg.js";

const WIDTH_PX = 400;

export class ProbabilityBars {
  constructor(root, labels, tones) {
    this.rows = new Map();
    for (const label of labels) {
      const tone = tones[label] ?? { word: label.toLowerCase(), css: "e-other" };
      const bar = svg("rect", { class: `area ${tone.css}`, x: 0, y: 0, width: 0, height: 20, rx: 2 });
      const figure = html("span", { class: "num" }, "–");
      const track = svg("rect", { class: "track", x: 0, y: 0, width: WIDTH_PX, height: 20, rx: 2 });
      root.append(html("div", { class: "prob" }, html("span", {}, tone.word),
        svg("svg", { viewBox: `0 0 ${WIDTH_PX} 20`, preserveAspectRatio: "none", "aria-hidden": "true" }, track, bar), figure));
      this.rows.set(label, { bar, figure });
    }
  }

  show({ probabilities }) {
    for (const [label, { bar, figure }] of this.rows) {
      const share = probabilities[label] ?? 0;
      bar.setAttribute("width", Math.round(share * WIDTH_PX));
      figure.textContent = label in probabilities ? `${Math.round(share * 100)} %` : "–";
    }
  }
}
