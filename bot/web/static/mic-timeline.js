// What was heard, over time: the last two minutes of the microphone, or all of a file. It is the strip of one speaker,
// drawn by the report's own modules. The pointer or the arrow keys say what a window sounded like.
import { axis, Scale } from "./axis.js";
import { cells } from "./cells.js";
import { firstAfter, windowAt } from "./session.js";
import { hatch, html, svg } from "./svg.js";
import { clock } from "./times.js";

const LEAST_S = 30;
const KEEP_S = 120;
const ROW_PX = 46;
const SAID = 40; // windows of a file that a screen reader is told; two minutes
const LIVE = "The last two minutes: what each window sounded like.";

export class Timeline {
  constructor(root, line, heading, session) {
    Object.assign(this, { root, line, heading, session, live: session, nowS: 0, wholeS: null, title: heading.textContent });
    this.picture = svg("svg", { class: "strip-picture", role: "img", "aria-label": LIVE });
    this.index = 0; // of the window that the keys are at
    this.slider = html("div", { role: "slider", class: "strip-keys", tabindex: 0, "aria-label": "Window by window", "aria-orientation": "horizontal", "aria-valuemin": 1 });
    this.spot = html("div", { class: "strip-spot", hidden: "" });
    root.append(this.picture, this.spot, this.slider);
    this.hint = line.textContent;
    root.addEventListener("pointermove", (event) => this.say(event));
    root.addEventListener("pointerleave", () => this.point());
    this.slider.addEventListener("keydown", (event) => this.onKey(event));
    this.slider.addEventListener("focus", () => this.move(this.wholeS === null ? Infinity : 0));
    this.slider.addEventListener("blur", () => this.point());
    this.value();
    new ResizeObserver(() => this.draw()).observe(root);
  }

  get person() {
    return this.session.people[0];
  }

  add(event) {
    this.listen();
    this.session.add(event);
    this.at(event.end_s);
  }

  // Show a whole recording, until the microphone is heard again.
  file(session, name) {
    Object.assign(this, { session, wholeS: session.durationS });
    this.picture.setAttribute("aria-label", `${name}: ${this.inWords()}`);
    this.heading.textContent = name;
    this.draw();
    this.move(0);
  }

  // For those who cannot point at it.
  inWords() {
    const { person } = this;
    const said = person.start.slice(0, SAID).map((_, index) => this.window(index));
    const more = person.start.length - said.length;
    return [...said, ...(more ? [`and ${more} more`] : [])].join("; ");
  }

  window(index) {
    return `${clock(this.person.start[index])}–${clock(this.person.end[index])} ${this.session.say(this.person, index)}`;
  }

  listen() {
    if (this.wholeS === null) return;
    Object.assign(this, { session: this.live, wholeS: null });
    this.picture.setAttribute("aria-label", LIVE);
    this.heading.textContent = this.title;
    this.move(Infinity);
  }

  // Time went on to `seconds` since listening began.
  at(seconds) {
    this.nowS = Math.max(this.nowS, seconds);
    if (this.wholeS === null) this.draw();
  }

  draw() {
    const width = Math.floor(this.root.clientWidth);
    const to = Math.max(this.wholeS === null ? LEAST_S : 3, this.wholeS ?? this.nowS);
    this.scale = new Scale(this.wholeS === null ? Math.max(0, to - KEEP_S) : 0, to, 0, width - 1);
    const font = `11.5px ${getComputedStyle(this.root).fontFamily}`;
    this.picture.setAttribute("viewBox", `0 0 ${width} ${ROW_PX + 26}`);
    this.picture.replaceChildren(hatch("strip-hatch"), svg("rect", { class: "track", width: this.scale.width, height: ROW_PX, rx: 3 }),
      cells(this.session, this.person, this.scale, 0, ROW_PX), axis(this.scale, ROW_PX, font));
    if (document.activeElement === this.slider) this.point();
  }

  say(event) {
    const at = this.scale.seconds(event.clientX - this.picture.getBoundingClientRect().left);
    const index = windowAt(this.person, at, 2 / this.scale.pxPerS);
    this.line.textContent = index < 0 ? `${clock(at)} silent` : this.window(index);
  }
  onKey(event) {
    const to = { ArrowRight: this.index + 1, ArrowLeft: this.index - 1, Home: 0, End: Infinity }[event.key];
    if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.move(to);
  }

  // Go to a window, of those that are shown.
  move(to) {
    const { person, scale } = this;
    const first = scale ? firstAfter(person, scale.from) : 0;
    this.index = Math.max(0, Math.min(person.start.length - 1, Math.max(first, to)));
    this.value();
    this.point();
  }

  value() {
    const { start } = this.person;
    this.slider.setAttribute("aria-valuemax", Math.max(1, start.length));
    this.slider.setAttribute("aria-valuenow", this.index + 1);
    this.slider.setAttribute("aria-valuetext", this.index in start ? this.window(this.index) : "nothing was heard yet");
  }

  // A frame around the window that the keys are at, and its words; else the hint.
  point() {
    const { person, scale, spot, line } = this;
    const shown = this.index in person.start && person.end[this.index] > scale.from && document.activeElement === this.slider;
    spot.hidden = !shown;
    line.textContent = shown ? this.window(this.index) : this.hint;
    if (!shown) return;
    const left = scale.at(Math.max(scale.from, person.start[this.index]));
    Object.assign(spot.style, { transform: `translate(${left - 1}px, -1px)`, width: `${scale.at(person.end[this.index]) - left + 2}px`, height: `${ROW_PX + 2}px` });
  }
}
