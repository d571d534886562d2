// The probability of every label, as a bar with its figure.
import { html, svg } from "./svg.js";

export class ProbabilityBars {
  constructor(root, labels, tones) {
    this.rows = new Map();
    for (const label of labels) {
      const tone = tones[label] ?? { word: label.toLowerCase(), css: "e-other" };
      const bar = svg("rect", { class: `area ${tone.css}`, x: 0, y: 0, width: 0, height: 20, rx: 2 });
      const figure = html("span", { class: "num" }, "–");
      root.append(
        html("div", { class: "prob" }, html("span", {}, tone.word),
          svg("svg", { viewBox: "0 0 400 20", preserveAspectRatio: "none", "aria-hidden": "true" },
            svg("rect", { class: "track", x: 0, y: 0, width: 400, height: 20, rx: 2 }), bar),
          figure),
      );
      this.rows.set(label, { bar, figure });
    }
  }

  show({ probabilities, quiet }) {
    for (const [label, { bar, figure }] of this.rows) {
      const share = probabilities[label] ?? 0;
      bar.setAttribute("width", Math.round(share * 400));
      figure.textContent = quiet ? "–" : `${Math.round(share * 100)} %`;
    }
  }
}
