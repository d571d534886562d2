// One line that says what lies under the pointer, the finger or the arrow keys. Rows are sliders of which one can be
// reached by Tab; what the keys find is also spoken, by a live region of its own, so that hovering stays quiet.
import { firstAfter, turnAt, windowAt } from "./session.js";
import { html } from "./svg.js";
import { clock } from "./times.js";

const SPEAK_AFTER_MS = 250;
const NEAR_PX = 3;
const STEPS = 60; // key presses across the bands that are shown

export class Readout {
  constructor(strip, line, live, { onZoom }) {
    Object.assign(this, { strip, line, live, onZoom });
    this.hint = line.textContent;
    this.at = { row: 0, at: 0 };
    this.pending = null;
    strip.root.addEventListener("pointermove", (event) => this.follow(event));
    strip.root.addEventListener("pointerdown", (event) => this.follow(event));
    strip.root.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.leave());
    strip.rows.addEventListener("keydown", (event) => this.onKey(event));
    strip.rows.addEventListener("focusin", (event) => this.onFocus(event));
    strip.rows.addEventListener("focusout", (event) => !strip.rows.contains(event.relatedTarget) && this.leave());
  }

  // After the strip was drawn: a slider for each row, kept where it exists so that focus survives.
  place() {
    const { strip } = this;
    const { layout, scale, session } = strip;
    while (strip.rows.children.length > layout.length) strip.rows.lastChild.remove();
    layout.forEach(({ person, y, height }, row) => {
      const slider = strip.rows.children[row] ?? strip.rows.appendChild(html("div", { role: "slider", "aria-orientation": "horizontal", "aria-valuemin": 0, tabindex: row === this.at.row ? 0 : -1 }));
      slider.setAttribute("aria-label", `${person.name} over time`);
      slider.setAttribute("aria-valuemax", Math.round(session.spanS));
      Object.assign(slider.style, { left: `${scale.x}px`, top: `${y}px`, width: `${scale.width}px`, height: `${height}px` });
    });
    this.value();
    if (this.shown) this.show(this.at);
  }

  follow(event) {
    if (!this.pending) requestAnimationFrame(() => this.frame());
    this.pending = event;
  }

  frame() {
    const found = this.strip.locate(this.pending.clientX, this.pending.clientY);
    this.pending = null;
    if (found) this.show(found);
  }

  show(place) {
    this.at = place;
    this.shown = true;
    const said = this.say(place);
    this.strip.point({ ...place, from: said.from, to: said.to });
    this.line.replaceChildren(html("span", { class: "at" }, said.when), html("bdi", {}, said.name), html("span", { class: `swatch ${said.css}` }), html("span", {}, said.what));
    return said;
  }

  // A mark that somebody made: it is about a moment and about nobody's row.
  note({ at_s, text }) {
    this.shown = false;
    this.strip.point({ row: 0, at: at_s, from: at_s, to: at_s });
    this.line.replaceChildren(html("span", { class: "at" }, clock(at_s)), html("span", {}, text));
  }

  leave() {
    if (this.strip.rows.contains(document.activeElement)) return;
    this.shown = false;
    this.strip.unpoint();
    this.line.textContent = this.hint;
  }

  // What lies at a second of a row, in words.
  say({ row, at }) {
    const { strip } = this;
    const { session } = strip;
    const { person } = strip.layout[row];
    if (strip.flows) return this.sayBand(person, strip.flows[row], at);
    const index = windowAt(person, at, NEAR_PX / strip.scale.pxPerS);
    if (index < 0) return { when: clock(at), name: person.name, css: "e-silent", what: "silent", from: at, to: at };
    const { start, end } = { start: person.start[index], end: person.end[index] };
    return { when: `${clock(start)}–${clock(end)}`, name: person.name, css: session.toneAt(person, index).css, what: session.say(person, index), from: start, to: end };
  }

  sayBand(person, { columns, total, count, binS }, at) {
    const { session, scale } = this.strip;
    const bin = Math.min(count - 1, Math.floor(((at - scale.from) / (scale.to - scale.from)) * count));
    const from = Math.max(scale.from, at - 1.5 * binS), to = Math.min(scale.to, at + 1.5 * binS);
    const when = `${clock(from)}–${clock(to)}`;
    if (total[bin] < 0.004 * binS) return { when, name: person.name, css: "e-silent", what: "silent", from, to };
    const parts = columns.map((column, label) => ({ tone: session.tones[label], share: Math.round((100 * column[bin]) / total[bin]) }))
      .filter(({ share }) => share >= 5).sort((a, b) => b.share - a.share);
    return { when, name: person.name, css: parts[0].tone.css, what: parts.map(({ tone, share }) => `${tone.word} ${share} %`).join(", "), from, to };
  }

  onFocus(event) {
    const row = [...this.strip.rows.children].indexOf(event.target);
    const { from, to } = this.strip.scale;
    let { at } = this.at;
    if (at < from || at > to || !this.shown) at = this.first(row, from);
    this.move({ row, at });
  }

  first(row, from) {
    const { person } = this.strip.layout[row];
    return person.start[firstAfter(person, from)] ?? from;
  }

  onKey(event) {
    const { strip } = this;
    const { row, at } = this.at;
    const { from, to } = strip.scale;
    const moves = {
      ArrowRight: () => this.next(row, at, 1), ArrowLeft: () => this.next(row, at, -1),
      PageUp: () => at + (to - from) / 4, PageDown: () => at - (to - from) / 4,
      Home: () => this.first(row, 0), End: () => strip.layout[row].person.start.at(-1) ?? to,
    };
    const turn = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (turn !== undefined) {
      strip.rows.children[Math.min(strip.layout.length - 1, Math.max(0, row + turn))].focus();
    } else if (event.key in moves) {
      this.move({ row, at: Math.min(strip.session.spanS, Math.max(0, moves[event.key]())) });
    } else if (event.key === "+" || event.key === "-") {
      this.onZoom(at, event.key === "+" ? 0.5 : 2);
    } else {
      return;
    }
    event.preventDefault();
  }

  // The middle of the next window, or a step further where bands are shown.
  next(row, at, direction) {
    const { strip } = this;
    const { from, to } = strip.scale;
    if (strip.flows) return at + (direction * (to - from)) / STEPS;
    const { person } = strip.layout[row];
    const here = windowAt(person, at);
    const after = firstAfter(person, at);
    const index = here >= 0 ? here + direction : direction > 0 ? after : after - 1;
    return index in person.start ? (person.start[index] + person.end[index]) / 2 : at;
  }

  move(place) {
    const { from, to } = this.strip.scale;
    if (place.at < from || place.at > to) this.onZoom(place.at, 1);
    const said = this.show(place);
    this.value();
    clearTimeout(this.speaking);
    this.speaking = setTimeout(() => { this.live.textContent = `${said.what}${this.turn(place)}`; }, SPEAK_AFTER_MS);
  }

  turn({ row, at }) {
    const { person } = this.strip.layout[row];
    const index = this.strip.flows ? -1 : windowAt(person, at);
    if (index < 0) return "";
    const [first, last] = turnAt(person, index);
    return last > first ? `, window ${index - first + 1} of ${last - first + 1} in this turn` : "";
  }

  value() {
    [...this.strip.rows.children].forEach((slider, row) => {
      slider.tabIndex = row === Math.min(this.at.row, this.strip.layout.length - 1) ? 0 : -1;
      slider.setAttribute("aria-valuenow", Math.round(this.at.at));
      slider.setAttribute("aria-valuetext", clock(this.at.at));
    });
  }
}
