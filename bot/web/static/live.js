// A running session's events. The browser comes back by itself after a lost connection and names the last event it saw,
// so nothing is missed; what is too old to be told again is answered by `reset`, and the report is read anew.
const AGAIN_MS = 15000; // after a refusal
const SPREAD_MS = 4000; // so that many pages do not all ask in the same moment

export class Live {
  constructor(source, lastEvent, handlers) {
    Object.assign(this, { source, lastEvent, handlers });
    this.connect();
  }

  connect() {
    this.events = new EventSource(`${this.source}/events?last_event_id=${this.lastEvent}`);
    for (const kind of ["participant", "window", "summary", "state", "reset"]) {
      this.events.addEventListener(kind, (event) => this.on(kind, event));
    }
    this.events.addEventListener("open", () => this.handlers.badge("live"));
    this.events.addEventListener("error", () => this.lost());
  }

  on(kind, event) {
    if (event.lastEventId) this.lastEvent = event.lastEventId;
    const data = JSON.parse(event.data);
    if (kind === "reset") this.reload();
    else if (kind === "state") this.state(data);
    else {
      if (kind === "window") this.answered(data.engine);
      this.handlers[kind](data);
    }
  }

  /** Another model than the one that serves answers while more is said than that can recognise. */
  answered(engine) {
    if (engine === this.engine) return;
    this.engine = engine;
    this.badge();
  }

  badge() {
    const notes = [];
    if (this.link && this.link !== "listening") notes.push(this.link.replaceAll("_", " "));
    if (this.engine) notes.push("the faster model answers");
    this.handlers.badge(["live", ...notes].join(" · "));
  }

  state({ state, link }) {
    if (state && state !== "live") {
      this.end();
      this.handlers.badge(state);
      setTimeout(() => this.handlers.ended(), Math.random() * SPREAD_MS);
    } else {
      this.link = link;
      this.badge();
    }
  }

  reload() {
    this.end();
    setTimeout(async () => {
      this.lastEvent = await this.handlers.reload();
      this.connect();
    }, Math.random() * SPREAD_MS);
  }

  lost() {
    this.handlers.badge("live · reconnecting");
    if (this.events.readyState !== EventSource.CLOSED) return; // the browser comes back by itself
    setTimeout(async () => { // it was refused: over, too many pages, or not ours any more; the report says which
      const last = await this.handlers.reload();
      if (last !== null) {
        this.lastEvent = last;
        this.connect();
      }
    }, AGAIN_MS + Math.random() * SPREAD_MS);
  }

  end() {
    this.events.close();
  }
}
