// The microphone page: five components around one stream of answers, and a file as another way in.
import { EmotionCard } from "./emotion-card.js";
import { FileDrop } from "./mic-file.js";
import { MicRecorder } from "./mic-recorder.js";
import { MicStream } from "./mic-stream.js";
import { Timeline } from "./mic-timeline.js";
import { ProbabilityBars } from "./probability-bars.js";
import { Session } from "./session.js";
import { SessionStats } from "./session-stats.js";

const STATES = {
  asking: "The browser asks whether this page may hear the microphone.",
  listening: "Listening …",
  heard: "Listening.",
  stopped: "Stopped. Nothing is heard.",
  gone: "The microphone went away. Listening goes on when it is back.",
  none: "There is no microphone. Plug one in, and listening begins.",
  busy: "Another program holds the microphone. Listening begins when it is free.",
  refused: "The microphone was not allowed. The browser's address bar has the setting.",
  impossible: "This browser gives no microphone here. It needs a current browser, and https or this machine's own address.",
  away: "The server does not answer. Trying again …",
  slow: "The network is slow; some seconds were skipped.",
};

const page = document.getElementById("microphone");
const find = (id) => document.getElementById(id);
const tones = JSON.parse(page.dataset.tones);
const labels = JSON.parse(page.dataset.labels);

const sessionOf = (name, known = labels) => new Session({ labels: known, reasons: [], state: "live", ticks: [], summary: { duration_s: 0, moments: [] }, people: [{ id: 0, name, left: false }] }, tones);
const session = sessionOf("You");
const card = new EmotionCard(find("card"), tones);
const bars = new ProbabilityBars(find("bars"), labels, tones);
const timeline = new Timeline(find("timeline"), find("timeline-line"), find("h-line"), session);
const stats = new SessionStats(find("stats"), tones);

let listenedS = 0, since = null;

function say(state, text) {
  const said = text || STATES[state];
  if (find("mic-status").textContent !== said) find("mic-status").textContent = said;
  find("mic-state").dataset.state = state;
}

const stream = new MicStream({
  onWindow: (answer) => {
    const { tone } = answer; // smoothed as in a call's panel; the timeline and the figures have the window itself
    card.show({ ...tone, reason: answer.reason });
    bars.show(tone);
    timeline.add({ participant_id: 0, ...answer });
    stats.add(answer);
    find("mic-new").hidden = !answer.new;
  },
  onState: (state, text) => {
    if (recorder?.stream) say(state, state === "away" && text ? `${text} Trying again …` : text);
  },
});

const recorder = new MicRecorder({
  button: find("mic-toggle"),
  level: find("mic-level"),
  onSamples: (samples) => stream.send(samples),
  onState: (state) => {
    say(state);
    count(state === "listening");
    if (state === "listening") stream.start();
    else if (state !== "asking") stream.stop();
  },
});

function count(listening) {
  if (since !== null) listenedS += (performance.now() - since) / 1000;
  since = listening ? performance.now() : null;
  stats.listened(listenedS);
}

setInterval(() => {
  if (since === null) return;
  stats.listened(listenedS + (performance.now() - since) / 1000);
  timeline.at(stream.nowS);
}, 1000);

new FileDrop({
  zone: find("drop"),
  input: find("file"),
  onStart: (name) => { find("file-status").textContent = `${name} is being analysed …`; },
  onAnswer: ({ summary, windows, model }, name) => {
    find("file-status").textContent = `${name} was analysed and forgotten.`;
    card.show(summary, name);
    bars.show(summary);
    const recording = sessionOf(name, model.labels);
    for (const window of windows) recording.add({ participant_id: 0, ...window });
    timeline.file(recording, name);
  },
  onProblem: (text, name) => { find("file-status").textContent = `${name}: ${text}`; }, // what is shown beside it may be of another file
});
