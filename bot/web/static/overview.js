// The whole session in a narrow band, with the shown part as a range to drag: its middle moves it, its ends change it.
// The ends and the middle are sliders for the keyboard.
import { Scale } from "./axis.js";
import { bands, flow, usualMost } from "./bands.js";
import { hatch, html, svg } from "./svg.js";
import { clock, spell } from "./times.js";

const HEIGHT_PX = 34;
const LEAST_S = 30;
const KEY_STEPS = 40;

export class Overview {
  constructor(root, session, { onRange }) {
    Object.assign(this, { root, session, onRange });
    this.picture = svg("svg", { "aria-hidden": "true" });
    this.brush = html("div", { class: "brush" });
    this.handles = {
      from: this.handle("from", "Begin of the part that is shown"),
      move: this.handle("move", "The part that is shown"),
      to: this.handle("to", "End of the part that is shown"),
    };
    this.brush.append(this.handles.move, this.handles.from, this.handles.to);
    root.replaceChildren(this.picture, this.brush);
    root.addEventListener("pointerdown", (event) => this.grab(event));
    root.addEventListener("dblclick", () => onRange({ from: 0, to: session.spanS }));
    root.addEventListener("keydown", (event) => this.onKey(event));
  }

  handle(part, label) {
    return html("div", { class: `brush-${part}`, "data-part": part, role: "slider", tabindex: 0, "aria-label": label, "aria-valuemin": 0 });
  }

  draw(range) {
    const width = Math.floor(this.root.clientWidth);
    this.scale = new Scale(0, this.session.spanS, 0, width);
    const data = flow(this.session, this.session.people, this.scale);
    const marks = this.session.moments.map(({ at_s }) => svg("path", { class: "mark-tip", d: `M${this.scale.at(at_s).toFixed(1)} 5l-3.5 -5h7z` }));
    this.picture.setAttribute("viewBox", `0 0 ${width} ${HEIGHT_PX}`);
    this.picture.replaceChildren(hatch("overview-hatch"), svg("rect", { class: "track", width, height: HEIGHT_PX, rx: 3 }),
      bands(this.session, data, this.scale, 6, HEIGHT_PX - 8, usualMost([data]), false), ...marks);
    this.show(range);
  }

  show(range) {
    this.range = range;
    const [left, right] = [this.scale.at(range.from), this.scale.at(range.to)];
    Object.assign(this.brush.style, { left: `${left}px`, width: `${right - left}px` });
    const values = { from: range.from, move: (range.from + range.to) / 2, to: range.to };
    for (const [part, handle] of Object.entries(this.handles)) {
      handle.setAttribute("aria-valuemax", Math.round(this.session.spanS));
      handle.setAttribute("aria-valuenow", Math.round(values[part]));
      handle.setAttribute("aria-valuetext", part === "move" ? `${clock(range.from)} to ${clock(range.to)}, ${spell(range.to - range.from)}` : clock(values[part]));
    }
  }

  grab(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    const part = event.target.dataset.part ?? "new";
    const begun = { x: event.clientX, ...this.range, at: this.secondsAt(event) };
    event.target.dataset.part && event.target.focus({ preventScroll: true });
    const move = (later) => this.drag(part, begun, later);
    const end = () => {
      this.root.removeEventListener("pointermove", move);
      this.root.removeEventListener("pointerup", end);
      this.root.removeEventListener("pointercancel", end);
    };
    this.root.setPointerCapture(event.pointerId);
    this.root.addEventListener("pointermove", move);
    this.root.addEventListener("pointerup", end);
    this.root.addEventListener("pointercancel", end);
  }

  secondsAt(event) {
    return this.scale.seconds(event.clientX - this.root.getBoundingClientRect().left);
  }

  drag(part, begun, event) {
    const by = (event.clientX - begun.x) / this.scale.pxPerS;
    if (part === "new") {
      const at = this.secondsAt(event);
      if (Math.abs(event.clientX - begun.x) > 4) this.onRange({ from: Math.min(begun.at, at), to: Math.max(begun.at, at) });
    } else {
      this.change(part, begun, by);
    }
  }

  change(part, { from, to }, by) {
    if (part === "move") {
      const held = Math.min(this.session.spanS - to, Math.max(-from, by));
      this.onRange({ from: from + held, to: to + held });
    } else if (part === "from") {
      this.onRange({ from: Math.min(to - LEAST_S, from + by), to });
    } else {
      this.onRange({ from, to: Math.max(from + LEAST_S, to + by) });
    }
  }

  onKey(event) {
    const part = event.target.dataset.part;
    const step = this.session.spanS / KEY_STEPS;
    const by = { ArrowLeft: -step, ArrowDown: -step, ArrowRight: step, ArrowUp: step, PageDown: -5 * step, PageUp: 5 * step, Home: -Infinity, End: Infinity }[event.key];
    if (!part || by === undefined) return;
    event.preventDefault();
    const span = this.session.spanS;
    this.change(part, this.range, Math.min(span, Math.max(-span, by)));
  }
}
