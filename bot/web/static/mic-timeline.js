// What was heard, over time: the last two minutes of the microphone, or all of a file. It is the strip of one speaker,
// drawn by the report's own modules.
import { axis, Scale } from "./axis.js";
import { cells } from "./cells.js";
import { windowAt } from "./session.js";
import { hatch, svg } from "./svg.js";
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
    root.append(this.picture);
    this.hint = line.textContent;
    root.addEventListener("pointermove", (event) => this.say(event));
    root.addEventListener("pointerleave", () => { line.textContent = this.hint; });
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
  }

  say(event) {
    const at = this.scale.seconds(event.clientX - this.picture.getBoundingClientRect().left);
    const index = windowAt(this.person, at, 2 / this.scale.pxPerS);
    this.line.textContent = index < 0 ? `${clock(at)} silent` : this.window(index);
  }
}
