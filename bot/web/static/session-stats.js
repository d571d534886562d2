// What was heard since the page was opened. Closing the page forgets it.
import { html } from "./svg.js";
import { spell } from "./times.js";

export class SessionStats {
  constructor(root, tones) {
    Object.assign(this, { tones, listenedS: 0, spokenS: 0, windows: 0, clear: 0, sure: 0, counts: new Map(), figures: new Map() });
    for (const name of ["Listening", "Speech", "Windows", "Clear", "Most often", "Mean confidence"]) {
      const value = html("dd", {}, "–");
      root.append(html("div", {}, html("dt", {}, name), value));
      this.figures.set(name, value);
    }
  }

  listened(seconds) {
    this.listenedS = seconds;
    this.draw();
  }

  add({ emotion, confidence, unclear, start_s, end_s, speech_ratio }) {
    this.windows += 1;
    this.spokenS += (end_s - start_s) * speech_ratio;
    if (!unclear) {
      this.clear += 1;
      this.sure += confidence;
      this.counts.set(emotion, (this.counts.get(emotion) ?? 0) + 1);
    }
    this.draw();
  }

  draw() {
    const most = [...this.counts].sort((a, b) => b[1] - a[1])[0];
    const figures = {
      Listening: spell(this.listenedS), Speech: spell(this.spokenS), Windows: String(this.windows), Clear: `${this.clear} of ${this.windows}`,
      "Most often": most ? (this.tones[most[0]]?.word ?? most[0].toLowerCase()) : "–", "Mean confidence": this.clear ? `${Math.round((100 * this.sure) / this.clear)} %` : "–",
    };
    for (const [name, text] of Object.entries(figures)) {
      const value = this.figures.get(name);
      if (value.textContent !== text) value.textContent = text;
    }
  }
}
