// What stands in words and figures on the page, brought up to date from a running session's summary. The page had it
// from the server first; the same cells are filled again, so that focus and what is open stay.
import { hatch, html, keepFocus, svg } from "./svg.js";
import { clock, percent, spell } from "./times.js";

const BAR_PX = 420;
const BAR_HEIGHT_PX = 18;

export class Words {
  constructor(root, session, { onMoment }) {
    Object.assign(this, { session, onMoment });
    this.find = (id) => root.querySelector(`#${id}`);
    this.moments(session.moments);
  }

  update(summary) {
    this.find("story").replaceChildren(...summary.sentences.flatMap((sentence) => [html("span", {}, sentence.replaceAll(" %", "\u00a0%")), " "]));
    this.find("facts").replaceChildren(...summary.line.map((fact) => html("li", {}, fact)));
    this.moments(summary.moments);
    const { totals, speakers } = summary;
    const figures = {
      talk: spell(totals.talk_s), overlap: spell(totals.overlap_s), turns: speakers.reduce((sum, { turns }) => sum + turns, 0),
      longest: spell(Math.max(0, ...speakers.map(({ longest_s }) => longest_s))), clear: `${totals.windows - totals.unclear_windows} of ${totals.windows}`,
    };
    for (const [name, value] of Object.entries(figures)) this.find("figures").querySelector(`[data-figure=${name}]`).textContent = value;
    for (const speaker of speakers) this.speaker(speaker);
    this.shares({ id: "all", shares: totals.shares });
  }

  moments(moments) {
    this.find("moments-section").hidden = !moments.length;
    keepFocus(this.find("moments"), () => this.find("moments").replaceChildren(...moments.map((moment) => {
      const of = `${moment.kind} ${moment.participant_id} ${moment.at_s}`;
      const go = html("button", { type: "button", class: "at link", "aria-label": `${clock(moment.at_s)}, show on the strip`, "data-of": of }, clock(moment.at_s));
      go.addEventListener("click", () => this.onMoment(moment));
      const text = html("span", {}, moment.text);
      if (moment.kind === "mark") text.append(" ", html("span", { class: "quiet" }, "· marked by hand"));
      return html("li", { value: moment.number }, html("span", { class: "moment" }, go, text));
    })));
  }

  row(table, id) {
    return this.find(table).querySelector(`tr[data-speaker="${id}"]`) ?? this.find(table).tBodies[0].appendChild(this.newRow(table, id));
  }

  newRow(table, id) {
    const like = this.find(table).tHead.rows[0].cells;
    const fields = ["", "bar", "talk", "turns", "longest", "unclear", "latest"];
    const cells = [...like].slice(1).map((head, index) => html("td", {
      class: table === "speakers" && index === 0 ? "bar-cell" : head.className,
      ...(table === "speakers" ? { "data-field": fields[index + 1], ...(index ? { "data-name": head.textContent } : {}) } : {}),
    }));
    return html("tr", { "data-speaker": id }, html("th", { scope: "row" }, html("bdi", {}, this.session.person(id)?.name ?? "")), ...cells);
  }

  speaker(figures) {
    const { id, windows, talk_s, turns, longest_s, unclear_share, shares } = figures;
    const row = this.row("speakers", id);
    const set = (field, ...content) => row.querySelector(`[data-field=${field}]`)?.replaceChildren(...content);
    set("bar", windows ? bar(this.session, id, shares, unclear_share) : html("span", { class: "quiet" }, this.session.live ? "has not spoken yet" : "did not speak long enough"));
    set("talk", spell(talk_s));
    set("turns", String(turns));
    set("longest", spell(longest_s));
    set("unclear", windows ? percent(unclear_share) : "–");
    this.shares(figures);
  }

  shares({ id, shares }) {
    const table = this.find("shares");
    const labels = table.dataset.labels.split("|");
    const cells = this.row("shares", id).querySelectorAll("td");
    const clear = Object.values(shares).some((share) => share > 0);
    labels.forEach((label, index) => { cells[index].textContent = clear ? percent(shares[label] ?? 0) : "–"; });
  }

  // Says of a voice that little was heard of so far; what was clear, or only unsure, counts, if it was not the faster model.
  known(person) {
    const { new: text, settled } = this.find("speakers").dataset;
    if (!text) return;
    const heard = person.why.filter((why, i) => !person.stoodIn[i] && (!why || this.session.reasons[why - 1] === "unsure")).length;
    const name = this.row("speakers", person.id).cells[0];
    const note = name.querySelector("[data-field=new]");
    if (heard === 0 || heard >= Number(settled)) note?.remove();
    else if (!note) name.append(" ", html("span", { class: "quiet", "data-field": "new" }, text));
  }

  latest(person) {
    this.known(person);
    const cell = this.row("speakers", person.id).querySelector("[data-field=latest]");
    const last = person.start.length - 1;
    if (cell && last >= 0) cell.textContent = person.why[last] ? "unclear" : `sounds ${this.session.tones[person.label[last]].word}, ${person.sure[last]} %`;
  }
}

function bar(session, id, shares, unclear) {
  const name = session.person(id)?.name ?? "";
  const picture = svg("svg", { class: "bar", viewBox: `0 0 ${BAR_PX} ${BAR_HEIGHT_PX}`, role: "img", "aria-label": `Talk time of ${name} by emotion` }, hatch(`bar-hatch-${id}`));
  let x = 0;
  const segments = session.order.map((label) => [session.tones[label], (shares[session.labels[label]] ?? 0) * (1 - unclear)]);
  for (const [tone, share] of [...segments, [session.tones.at(-1), unclear]]) {
    const width = share * BAR_PX;
    if (width <= 0) continue;
    const hatched = tone === session.tones.at(-1);
    picture.append(svg("rect", { class: `${hatched ? "hatched" : "area"} ${tone.css}`, x, width: Math.max(0, width - 1), height: BAR_HEIGHT_PX, ...(hatched ? { fill: `url(#bar-hatch-${id})` } : {}) }, svg("title", {}, `${tone.word}: ${percent(share)}`)));
    if (width >= 16) picture.append(svg("text", { class: `letter ${tone.css}`, x: x + width / 2, y: BAR_HEIGHT_PX / 2 + 4 }, tone.letter));
    x += width;
  }
  return picture;
}
