// What the last window sounds like: emoji, word, confidence.
const REASONS = { unsure: "unsure", no_speech: "no speech", too_short: "too short", clipped: "too loud" };

export class EmotionCard {
  constructor(tones) {
    this.tones = tones;
    this.emoji = document.getElementById("card-emoji");
    this.word = document.getElementById("card-word");
    this.sure = document.getElementById("card-sure");
    this.box = this.emoji.parentElement;
  }

  show({ emotion, confidence, unclear, reason }) {
    const tone = unclear ? this.tones.Unclear : (this.tones[emotion] ?? { word: emotion.toLowerCase(), emoji: "🔹", css: "e-other" });
    this.box.className = `emotion-card ${tone.css}`;
    this.emoji.textContent = tone.emoji;
    this.word.textContent = unclear ? "unclear" : `sounds ${tone.word}`;
    this.sure.textContent = unclear ? (REASONS[reason] ?? "unsure") : `${Math.round(confidence * 100)} % sure`;
  }
}
