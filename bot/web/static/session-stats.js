// What was heard since the page was opened. Closing the page forgets it.
import { html } from "./svg.js";

export class SessionStats {
  constructor(root, tones) {
    this.root = root;
    this.tones = tones;
    this.windows = 0;
    this.clear = 0;
    this.counts = new Map();
    this.sure = 0;
    this.draw();
  }

  add({ emotion, confidence, unclear }) {
    this.windows += 1;
    if (!unclear) {
      this.clear += 1;
      this.sure += confidence;
      this.counts.set(emotion, (this.counts.get(emotion) ?? 0) + 1);
    }
    this.draw();
  }

  draw() {
    const most = [...this.counts].sort((a, b) => b[1] - a[1])[0];
    const word = most ? `${this.tones[most[0]]?.word ?? most[0]} (${most[1]} of ${this.clear})` : "–";
    const figures = [
      ["Recordings", this.windows],
      ["Clear", this.clear],
      ["Most often", word],
      ["Mean confidence", this.clear ? `${Math.round((100 * this.sure) / this.clear)} %` : "–"],
    ];
    this.root.replaceChildren(
      ...figures.map(([name, value]) => html("div", {}, html("dt", {}, name), html("dd", {}, String(value)))),
    );
  }
}
