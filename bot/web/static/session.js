// A report as the pictures need it: a column a figure, a row a window, found by time without looking through all of them.
const LEVELS = [0.45, 0.6, 0.75]; // confidences at which a cell is drawn a step stronger
const TURN_GAP_S = 1.5;

export class Session {
  constructor(chart, tones) {
    this.labels = chart.labels;
    this.reasons = [...chart.reasons];
    this.tones = [...chart.labels.map((label) => toneOf(tones, label)), tones.Unclear];
    this.order = inOrder(this.labels, tones); // label indices from the highest note to the lowest
    this.live = chart.state === "live";
    this.durationS = chart.summary.duration_s;
    this.moments = chart.summary.moments;
    this.ticks = chart.ticks;
    this.people = chart.people.map(decode);
  }

  // Seconds that the time axis covers; a session that has just begun is drawn as if it were a minute long.
  get spanS() {
    return Math.max(60, this.durationS);
  }

  person(id) {
    return this.people.find((person) => person.id === id);
  }

  include(id, name) {
    if (!this.person(id)) this.people.push({ id, name, left: false, ...empty() });
  }

  // Append a window as the live events tell it. False when it is held already or belongs to nobody here.
  add(event) {
    const person = this.person(event.participant_id);
    if (!person || !this.append(person, event)) return false;
    this.durationS = Math.max(this.durationS, event.end_s);
    return true;
  }

  append(person, event) {
    if (person.start.at(-1) >= event.start_s - 0.05) return false;
    const label = this.labels.indexOf(event.emotion);
    if (event.unclear && !this.reasons.includes(event.reason ?? "unsure")) this.reasons.push(event.reason ?? "unsure");
    push(person, {
      start: event.start_s,
      end: event.end_s,
      label: Math.max(0, label),
      sure: Math.round(100 * event.confidence),
      why: event.unclear || label < 0 ? 1 + this.reasons.indexOf(event.reason ?? "unsure") : 0,
      speech: Math.round(100 * event.speech_ratio),
      stoodIn: event.engine ? 1 : 0,
    });
    person.probabilities?.forEach((column, index) => column.push(Math.round(100 * (event.probabilities[this.labels[index]] ?? 0))));
    return true;
  }

  toneAt(person, index) {
    return person.why[index] ? this.tones.at(-1) : this.tones[person.label[index]];
  }

  // A window in words: "sounds angry, 82 % sure".
  say(person, index) {
    const by = person.stoodIn[index] ? ", by the faster model" : "";
    if (person.why[index]) return `unclear: ${(this.reasons[person.why[index] - 1] ?? "unsure").replaceAll("_", " ")}${by}`;
    return `sounds ${this.tones[person.label[index]].word}, ${person.sure[index]} % sure${by}`;
  }
}

function toneOf(tones, label) {
  return tones[label] ?? { word: label.toLowerCase(), letter: label[0].toUpperCase(), css: "e-other", height: 0.5 };
}

function inOrder(labels, tones) {
  const known = Object.keys(tones);
  const rank = (label) => (known.includes(label) ? known.indexOf(label) : known.length);
  return labels.map((_, index) => index).sort((a, b) => rank(labels[a]) - rank(labels[b]));
}

const empty = () => ({ start: [], end: [], label: [], sure: [], why: [], speech: [], stoodIn: [] });

// A person of the report's JSON, with times in seconds; one without windows has said nothing yet.
export function decode({ id, name, left, windows }) {
  const person = { id, name, left, ...empty() };
  if (!windows) return person;
  for (const column of ["label", "sure", "why", "speech"]) person[column] = [...windows[column]];
  person.stoodIn = [...windows.stood_in];
  let at = 0; // tenths of a second
  windows.gap.forEach((gap, index) => {
    person.start.push((at + gap) / 10);
    at += gap + windows.length[index];
    person.end.push(at / 10);
  });
  return person;
}

function push(person, values) {
  for (const [column, value] of Object.entries(values)) person[column].push(value);
}

// Index of the first window that ends after a time.
export function firstAfter(person, seconds) {
  let low = 0, high = person.end.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (person.end[middle] > seconds) high = middle;
    else low = middle + 1;
  }
  return low;
}

// Index of the window at a time, or of the nearest one within `reach` seconds; -1 when there is none.
export function windowAt(person, seconds, reach = 0) {
  const next = firstAfter(person, seconds);
  if (next < person.start.length && person.start[next] <= seconds) return next;
  const after = next < person.start.length ? person.start[next] - seconds : Infinity;
  const before = next > 0 ? seconds - person.end[next - 1] : Infinity;
  if (Math.min(after, before) > reach) return -1;
  return after < before ? next : next - 1;
}

export const levelOf = (sure) => LEVELS.findLastIndex((from) => sure / 100 >= from) + 2; // 1 the faintest, 4 the strongest

// Seconds of speech a bin: a column a label, the last one unclear. A window counts in each bin by its part.
export function binsOf(person, labels, from, to, count) {
  const width = (to - from) / count;
  const sums = Array.from({ length: labels + 1 }, () => new Float64Array(count));
  for (let i = firstAfter(person, from); i < person.start.length && person.start[i] < to; i += 1) {
    const column = sums[person.why[i] ? labels : person.label[i]];
    const first = Math.max(0, Math.floor((person.start[i] - from) / width));
    const last = Math.min(count - 1, Math.floor((person.end[i] - from) / width));
    for (let bin = first; bin <= last; bin += 1) {
      const left = from + bin * width;
      const part = Math.min(person.end[i], left + width) - Math.max(person.start[i], left);
      if (part > 0) column[bin] += (part * person.speech[i]) / 100;
    }
  }
  return sums;
}

// The turn that a window belongs to, as [first, last].
export function turnAt(person, index) {
  let [first, last] = [index, index];
  while (first > 0 && person.start[first] - person.end[first - 1] < TURN_GAP_S) first -= 1;
  while (last + 1 < person.start.length && person.start[last + 1] - person.end[last] < TURN_GAP_S) last += 1;
  return [first, last];
}
