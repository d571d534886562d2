// The microphone page: five components around one stream of answers. Sound stays in memory and goes only to /predict.
import { EmotionCard } from "./emotion-card.js";
import { MicRecorder } from "./mic-recorder.js";
import { analyse } from "./predict.js";
import { ProbabilityBars } from "./probability-bars.js";
import { SessionStats } from "./session-stats.js";
import { Timeline } from "./timeline.js";

const page = document.getElementById("microphone");
const tones = JSON.parse(page.dataset.tones);
const labels = JSON.parse(page.dataset.labels);
const status = document.getElementById("mic-status");

const card = new EmotionCard(tones);
const bars = new ProbabilityBars(document.getElementById("bars"), labels, tones);
const timeline = new Timeline(document.getElementById("timeline"), document.getElementById("timeline-empty"), tones);
const stats = new SessionStats(document.getElementById("stats"), tones);

const MAX_IN_FLIGHT = 3;
let inFlight = 0;
let sequence = 0;
let shown = 0;

async function onChunk(blob) {
  if (inFlight >= MAX_IN_FLIGHT) {
    status.textContent = "The server is slow; three seconds were skipped.";
    return;
  }
  const mine = ++sequence;
  inFlight += 1;
  try {
    const answer = await analyse(blob);
    status.textContent = answer.quiet ? "No speech in the last three seconds." : "Listening.";
    timeline.add(answer);
    stats.add(answer);
    if (mine > shown) { // an answer that was overtaken does not go back in time
      shown = mine;
      card.show(answer);
      bars.show(answer);
    }
  } catch (error) {
    status.textContent = error.message;
  } finally {
    inFlight -= 1;
  }
}

const recorder = new MicRecorder({
  button: document.getElementById("mic-toggle"),
  level: document.getElementById("mic-level"),
  say: (text) => { status.textContent = text; },
  onChunk,
});
recorder.enable();
