// The strip: a row a speaker over one time axis; cells where a window is wide enough, smooth bands where not. It draws,
// and says what lies at a place; hover, tap and keys come through `readout.js`.
import { axis, Scale, textWidth } from "./axis.js";
import { bands, flow, usualMost } from "./bands.js";
import { cells } from "./cells.js";
import { hatch, html, svg } from "./svg.js";
import { clock } from "./times.js";

const CELL_PX = 3.6; // a window of three seconds narrower than this is drawn as part of a band
const WINDOW_S = 3;
const NARROW_PX = 560;
const GUTTER_PX = 148;
const MARK_PX = 20;
const ROW_PX = { cells: 38, bands: 46 };
const GAP_PX = 10;
const NAME_PX = 20;
const AXIS_PX = 26;
const FIRST_PX = 14;
const TICK_PX = 5; // what a wedge needs above its row

export class Strip {
  constructor(root, session) {
    this.root = root;
    this.session = session;
    this.picture = svg("svg", { class: "strip-picture", role: "img", "aria-label": "How each speaker sounded over time. The table below has the same figures." });
    this.names = html("div", { class: "strip-names", "aria-hidden": "true" });
    this.rows = html("div", { class: "strip-rows" });
    // Beside the picture, not in it: moving them must not paint ten thousand windows anew.
    this.spot = html("div", { class: "strip-spot", hidden: "" });
    this.cursor = html("div", { class: "strip-cursor", hidden: "" });
    root.replaceChildren(this.picture, this.names, this.rows, this.spot, this.cursor);
  }

  draw(range) {
    const { session } = this;
    const width = Math.floor(this.root.clientWidth);
    const style = getComputedStyle(this.root);
    this.font = `11.5px ${style.fontFamily}`;
    const above = width < NARROW_PX;
    const gutter = above ? 0 : this.gutter(style.fontFamily);
    this.scale = new Scale(range.from, range.to, gutter, width - gutter - 1);
    this.mode = WINDOW_S * this.scale.pxPerS >= CELL_PX ? "cells" : "bands";
    const marks = this.placeMarks();
    const top = marks.length ? 4 + MARK_PX * (1 + Math.max(...marks.map((mark) => mark.level))) : TICK_PX;
    const height = ROW_PX[this.mode];
    const step = height + GAP_PX + (above ? NAME_PX : 0);
    this.layout = session.people.map((person, index) => ({ person, y: top + index * step + (above ? NAME_PX : 0), height }));
    const bottom = (this.layout.at(-1)?.y ?? top) + height;
    this.picture.setAttribute("viewBox", `0 0 ${width} ${bottom + AXIS_PX}`);
    this.picture.replaceChildren(hatch("strip-hatch"), ...this.drawMarkLines(marks, bottom), ...this.drawRows(), ...this.drawMarks(marks), axis(this.scale, bottom, this.font));
    Object.assign(this.cursor.style, { top: `${top - 2}px`, height: `${bottom - top + 6}px` });
    this.drawNames(above);
  }

  gutter(family) {
    const widest = Math.max(0, ...this.session.people.map((person) => textWidth(person.name, `600 13.5px ${family}`)));
    return Math.min(GUTTER_PX, Math.ceil(widest) + 18);
  }

  drawRows() {
    const { session, scale } = this;
    const tracks = this.layout.map(({ y, height }) => svg("rect", { class: "track", x: scale.x, y, width: scale.width, height, rx: 3 }));
    if (this.mode === "cells") {
      this.flows = null;
      return [...tracks, ...this.layout.map(({ person, y, height }) => cells(session, person, scale, y, height)), this.drawTicks()];
    }
    this.flows = this.layout.map(({ person }) => flow(session, [person], scale));
    const most = usualMost(this.flows);
    return [...tracks, ...this.layout.map(({ y, height }, row) => bands(session, this.flows[row], scale, y + 1, height - 2, most)), this.drawTicks()];
  }

  // Somebody joined or left: a small wedge at the row's edge that points into or out of their time.
  drawTicks() {
    const { scale } = this;
    const group = svg("g", { class: "comings" });
    for (const tick of this.session.ticks) {
      const row = this.layout.find(({ person }) => person.id === tick.participant_id);
      if (!row || tick.at_s < scale.from || tick.at_s > scale.to) continue;
      if (tick.kind === "joined" && scale.at(tick.at_s) - scale.at(0) < FIRST_PX) continue; // with the session
      const x = scale.at(tick.at_s), out = tick.kind === "left" ? -1 : 1;
      group.append(svg("path", { d: `M${x.toFixed(1)} ${row.y - 4}v6l${out * 5} -3z` }, svg("title", {}, `${clock(tick.at_s)} ${row.person.name} ${tick.kind}`)));
    }
    return group;
  }

  placeMarks() {
    const { scale, session } = this;
    const ends = [];
    return session.moments.filter(({ at_s }) => at_s >= scale.from && at_s <= scale.to).map((moment) => {
      const x = Math.min(scale.x + scale.width - 9, Math.max(scale.x + 9, scale.at(moment.at_s)));
      let level = ends.findIndex((end) => x - end >= MARK_PX);
      if (level < 0) level = ends.length;
      ends[level] = x;
      return { moment, x, level };
    });
  }

  markY(mark, marks) {
    return MARK_PX * (Math.max(...marks.map(({ level }) => level)) - mark.level) + MARK_PX / 2;
  }

  drawMarkLines(marks, bottom) {
    return marks.map((mark) => svg("line", { class: "mark-line", x1: mark.x.toFixed(1), x2: mark.x.toFixed(1), y1: this.markY(mark, marks) + 8, y2: bottom }));
  }

  drawMarks(marks) {
    return marks.map((mark) => {
      const [x, y] = [mark.x.toFixed(1), this.markY(mark, marks)];
      return svg("g", { class: `mark mark-${mark.moment.kind}` }, svg("circle", { cx: x, cy: y, r: 8.5 }), svg("text", { x, y: y + 3.8 }, String(mark.moment.number)),
        svg("title", {}, `${clock(mark.moment.at_s)} ${mark.moment.text}`));
    });
  }

  drawNames(above) {
    this.names.replaceChildren(...this.layout.map(({ person, y, height }) => {
      const name = html("bdi", { title: person.name }, person.name);
      Object.assign(name.style, above ? { top: `${y - NAME_PX}px`, width: "100%" } : { top: `${y}px`, width: `${this.scale.x - 14}px`, lineHeight: `${height}px` });
      return name;
    }));
  }

  // The row and the second at a place of the screen; null outside the rows.
  locate(clientX, clientY) {
    const box = this.picture.getBoundingClientRect();
    const [x, y] = [clientX - box.left, clientY - box.top];
    if (x < this.scale.x - 4 || x > this.scale.x + this.scale.width + 4) return null;
    const row = this.layout.findIndex((place) => y >= place.y - GAP_PX / 2 && y <= place.y + place.height + GAP_PX / 2);
    return row < 0 ? null : { row, at: this.scale.seconds(x) };
  }

  // Show the cursor at a time of a row, and a frame around what the readout speaks of.
  point({ row, at, from, to }) {
    const { y, height } = this.layout[row];
    this.cursor.hidden = false;
    this.cursor.style.transform = `translateX(${this.scale.at(at).toFixed(1)}px)`;
    this.spot.hidden = from >= to;
    const left = this.scale.at(from);
    const width = Math.max(3, this.scale.at(to) - left + 1);
    Object.assign(this.spot.style, { transform: `translate(${(left - 1).toFixed(1)}px, ${y - 1}px)`, width: `${width.toFixed(1)}px`, height: `${height + 2}px` });
  }

  unpoint() {
    this.cursor.hidden = this.spot.hidden = true;
  }
}
