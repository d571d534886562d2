// The report page: reads the chart once, draws it, and while the session runs appends what the events tell.
import { Live } from "./live.js";
import { Overview } from "./overview.js";
import { Readout } from "./readout.js";
import { Session } from "./session.js";
import { Words } from "./speakers.js";
import { Strip } from "./strip.js";
import { html, keepFocus } from "./svg.js";
import { clock } from "./times.js";
import { Voice } from "./voice.js";

const LONG_S = 600; // from here on a part can be chosen
const LEAST_S = 30;
const AROUND_S = 90; // shown on both sides of a moment

const root = document.getElementById("report");
const { source } = root.dataset;
const find = (id) => document.getElementById(id);

class Page {
  constructor(chart) {
    this.tones = JSON.parse(root.dataset.tones);
    this.open(chart);
    this.strip = new Strip(find("strip"), this.session);
    this.readout = new Readout(this.strip, find("readout"), find("spoken"), { onZoom: (at, factor) => this.zoom(factor, at) });
    this.overview = new Overview(find("overview"), this.session, { onRange: (range) => this.show(range) });
    this.words = new Words(root, this.session, { onMoment: (moment) => this.goTo(moment) });
    this.voice = new Voice(find("voice"), this.session);
    find("zoom-in").addEventListener("click", () => this.zoom(0.5));
    find("zoom-out").addEventListener("click", () => this.zoom(2));
    find("zoom-all").addEventListener("click", () => this.show({ from: 0, to: Infinity }));
    new ResizeObserver(() => this.redraw()).observe(find("heard"));
    new IntersectionObserver((seen) => seen.some((entry) => entry.isIntersecting) && this.firstVoice(), { rootMargin: "400px" }).observe(find("closer"));
    this.voices();
    this.redraw();
  }

  open(chart) {
    this.session = new Session(chart, this.tones);
    this.range = this.whole;
    this.follows = true; // the range grows with the session
  }

  get whole() {
    return { from: 0, to: this.session.spanS };
  }

  // Keep a range inside the session; the whole of it follows a session that grows.
  show({ from, to }) {
    const { spanS } = this.session;
    const length = Math.min(spanS, Math.max(LEAST_S, to - from));
    const begin = Math.min(spanS - length, Math.max(0, from));
    this.range = { from: begin, to: begin + length };
    this.follows = length >= spanS;
    this.later();
  }

  // Show a range around a second, `factor` times as long as the one that is shown.
  zoom(factor, at = this.readout.shown ? this.readout.at.at : (this.range.from + this.range.to) / 2) {
    const length = (this.range.to - this.range.from) * factor;
    this.show({ from: at - length / 2, to: at + length / 2 });
  }

  goTo(moment) {
    if (this.session.spanS > LONG_S) this.show({ from: moment.at_s - AROUND_S, to: (moment.until_s ?? moment.at_s) + AROUND_S });
    const row = this.session.people.findIndex(({ id }) => id === moment.participant_id);
    requestAnimationFrame(() => {
      this.draw();
      if (row < 0) this.readout.note(moment);
      else this.readout.show({ row, at: moment.at_s + 0.5 });
      find("strip").scrollIntoView({ block: "center", behavior: "smooth" });
    });
  }

  later() {
    this.planned ??= requestAnimationFrame(() => this.draw());
  }

  redraw() {
    this.stale = true;
    this.later();
  }

  draw() {
    cancelAnimationFrame(this.planned);
    this.planned = null;
    if (find("heard").hidden) return;
    if (this.follows) this.range = this.whole;
    const long = this.session.spanS > LONG_S;
    this.strip.draw(this.range);
    this.readout.place();
    find("zoom").hidden = !long;
    if (long && this.stale) this.overview.draw(this.range);
    else if (long) this.overview.show(this.range);
    find("zoom-range").textContent = `${clock(this.range.from)}–${clock(this.range.to)}`;
    find("zoom-all").disabled = find("zoom-out").disabled = this.follows;
    find("zoom-in").disabled = this.range.to - this.range.from <= LEAST_S;
    this.voice.draw(this.range);
    this.stale = false;
  }

  // --- one voice closer

  voices() {
    const heard = this.session.people.filter(({ start }) => start.length);
    find("closer").hidden = !heard.length;
    const chosen = this.voice.voice?.id;
    keepFocus(find("voices"), () => find("voices").replaceChildren(...heard.map((person) => {
      const button = html("button", { type: "button", "aria-pressed": person.id === chosen, "data-of": person.id }, html("bdi", {}, person.name));
      button.addEventListener("click", () => this.choose(person));
      return button;
    })));
  }

  firstVoice() {
    const first = this.session.people.find(({ start }) => start.length);
    if (first && !this.voice.voice && !this.choosing) this.choose(first);
  }

  async choose(person) {
    this.choosing = person;
    const response = await fetch(`${source}/voices/${person.id}.json`, { credentials: "same-origin" }).catch(() => null);
    if (this.choosing !== person || !response?.ok) return;
    this.voice.load(await response.json(), person.name);
    [...find("voices").children].forEach((button) => button.setAttribute("aria-pressed", button.dataset.of === String(person.id)));
    this.voice.draw(this.range);
  }

  // --- live

  participant({ participant_id, pseudonym, name, included }) {
    if (!included) return;
    this.session.include(participant_id, name ?? pseudonym);
    this.redraw();
  }

  window(event) {
    const first = find("heard").hidden;
    if (!this.session.add(event)) return;
    if (first) this.reveal();
    if (this.voice.voice?.id === event.participant_id) this.voice.add(event);
    const person = this.session.person(event.participant_id);
    this.words.latest(person);
    if (person.start.length === 1) this.voices();
    this.redraw();
  }

  reveal() {
    find("heard").hidden = false;
    find("empty")?.remove();
  }

  summary(summary) {
    for (const { id, name } of summary.speakers) if (name) this.session.include(id, name);
    this.session.moments = summary.moments;
    this.session.durationS = Math.max(this.session.durationS, summary.duration_s);
    this.words.update(summary);
    this.redraw();
  }

  badge(text) {
    const badge = find("live-state");
    if (badge && badge.textContent !== text) badge.textContent = text;
  }

  // Reads the report anew. Says whether the session is over, and otherwise the last event in it: null when it could not be read.
  async reload() {
    const chart = await read();
    if (chart === null) return { over: false, last: null };
    const { range, follows } = this;
    this.open(chart);
    if (!follows) Object.assign(this, { range, follows });
    this.strip.session = this.overview.session = this.words.session = this.voice.session = this.session;
    if (this.session.people.some(({ start }) => start.length)) this.reveal();
    this.words.update(chart.summary);
    this.voices();
    const closer = this.session.person(this.voice.voice?.id);
    if (closer) this.choose(closer);
    this.redraw();
    if (chart.state === "live") return { over: false, last: chart.last_event_id };
    this.badge(chart.state);
    find("empty")?.remove();
    find("live-state")?.classList.remove("state-live");
    return { over: true };
  }
}

async function read() {
  const response = await fetch(`${source}/chart.json`, { credentials: "same-origin" }).catch(() => null);
  if ([401, 403, 404, 410].includes(response?.status)) location.reload(); // the page itself says why
  return response?.ok ? response.json() : null;
}

const chart = await read();
if (chart === null) {
  find("readout").textContent = "The figures could not be read. Reload the page to try again; the tables below are whole.";
} else {
  const page = new Page(chart);
  if (chart.state === "live") {
    new Live(source, chart.last_event_id, {
      participant: (data) => page.participant(data), window: (data) => page.window(data), summary: (data) => page.summary(data),
      badge: (text) => page.badge(text), reload: () => page.reload(),
    });
  }
}
