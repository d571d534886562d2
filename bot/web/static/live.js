// A running session's events. The browser comes back by itself after a lost connection and names the last event it saw,
// so nothing is missed; what is too old to be told again is answered by `reset`, and the report is read anew.
const AGAIN_MS = 15000; // after a refusal, and while nothing can be read
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
    this.events.addEventListener("open", () => this.badge());
    this.events.addEventListener("error", () => this.lost());
  }

  on(kind, event) {
    if (event.lastEventId) this.lastEvent = event.lastEventId;
    const data = JSON.parse(event.data);
    if (kind === "reset") this.readAnew();
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
      this.handlers.badge(state);
      this.readAnew();
    } else {
      this.link = link;
      this.badge();
    }
  }

  // The report says where to go on, or that the session is over. While it cannot be read, it is asked for again.
  readAnew(afterMs = 0) {
    this.events.close();
    setTimeout(async () => {
      const { over, last } = await this.handlers.reload();
      if (over) return;
      if (last === null) {
        this.readAnew(AGAIN_MS);
      } else {
        this.lastEvent = last;
        this.connect();
      }
    }, afterMs + Math.random() * SPREAD_MS);
  }

  lost() {
    this.handlers.badge("live · reconnecting");
    if (this.events.readyState !== EventSource.CLOSED) return; // the browser comes back by itself
    this.readAnew(AGAIN_MS); // it was refused: over, too many pages, or not ours any more
  }
}
