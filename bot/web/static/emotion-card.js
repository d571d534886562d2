// The last answer, large: a face, a word, how sure. It stays when listening stops, and says how long ago it was.
// A screen reader is told each answer, and not every second how old it is.
import { face, waiting } from "./faces.js";
import { html, svg } from "./svg.js";
import { spell } from "./times.js";

const REASONS = { unsure: "the network was unsure", no_speech: "no speech was heard", too_short: "too little speech", clipped: "too loud, it was clipped" };
const BAR_PX = 400;

export class EmotionCard {
  constructor(root, tones) {
    Object.assign(this, { root, tones, at: null });
    this.face = html("div", { class: "card-face" }, waiting());
    this.word = html("p", { class: "emotion-word" }, "nothing heard yet");
    this.sure = html("p", { class: "card-sure" }, "Press the button and talk, or choose a file.");
    this.when = html("p", { class: "card-when quiet", "aria-live": "off" });
    this.bar = svg("rect", { class: "area", x: 0, y: 0, width: 0, height: 8, rx: 4 });
    const bar = svg("svg", { class: "card-bar", viewBox: `0 0 ${BAR_PX} 8`, preserveAspectRatio: "none", "aria-hidden": "true" }, svg("rect", { class: "track", width: BAR_PX, height: 8, rx: 4 }), this.bar);
    root.replaceChildren(this.face, html("div", { class: "card-text" }, this.word, this.sure, bar, this.when));
    setInterval(() => this.age(), 1000);
  }

  // `from` says what was heard: nothing for the microphone, a file's name otherwise.
  show({ emotion, confidence, unclear, reason }, from = "") {
    const tone = unclear ? this.tones.Unclear : (this.tones[emotion] ?? { word: emotion.toLowerCase(), css: "e-other" });
    this.root.className = `emotion-card ${tone.css}`;
    this.face.replaceChildren(face(tone.css));
    this.word.textContent = unclear ? "unclear" : `sounds ${tone.word}`;
    this.sure.textContent = unclear ? (REASONS[reason] ?? REASONS.unsure) : `${Math.round(confidence * 100)} % sure`;
    this.bar.setAttribute("width", unclear ? 0 : Math.round(confidence * BAR_PX));
    this.at = Date.now();
    this.from = from;
    this.age();
  }

  age() {
    if (this.at === null) return;
    const seconds = Math.round((Date.now() - this.at) / 1000);
    const ago = seconds < 4 ? "just now" : `${spell(seconds)} ago`;
    const text = this.from ? `${this.from}, ${ago}` : ago;
    if (this.when.textContent !== text) this.when.textContent = text;
  }
}
