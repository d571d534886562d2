// The way to the server and back: samples out, windows in. It comes back by itself when the server goes away; what is
// said meanwhile is not sent later, for nobody wants to see how they sounded a minute ago as if it were now.
const PAUSES_MS = [1000, 2000, 4000, 8000, 15000];
const MOST_WAITING_BYTES = 320000; // ten seconds that the network could not take

export class MicStream {
  constructor({ onWindow, onState }) {
    Object.assign(this, { onWindow, onState, socket: null, wanted: false, tries: 0, beganMs: null });
  }

  start() {
    this.wanted = true;
    this.tries = 0;
    this.beganMs ??= performance.now();
    this.connect();
  }

  // Seconds since the first start; windows of every connection lie on this one axis.
  get nowS() {
    return this.beganMs === null ? 0 : (performance.now() - this.beganMs) / 1000;
  }

  connect() {
    clearTimeout(this.timer);
    if (this.socket) return;
    const address = new URL("../microphone/stream", import.meta.url);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = this.socket = new WebSocket(address);
    let offset = 0, ready = false;
    socket.addEventListener("message", ({ data }) => {
      const { kind, ...fields } = JSON.parse(data);
      if (kind === "ready") {
        ready = true;
        this.tries = 0;
        this.onState("heard");
      } else if (kind === "window") {
        this.onState("heard"); // whatever was skipped before
        this.onWindow({ ...fields, start_s: fields.start_s + offset, end_s: fields.end_s + offset });
      } else if (kind === "lost") {
        this.onState("skipped", fields.text);
      }
    });
    this.send = (samples) => {
      if (!ready || socket.readyState !== WebSocket.OPEN) return;
      if (!offset) offset = Math.max(0.001, this.nowS - samples.byteLength / 32000);
      if (socket.bufferedAmount < MOST_WAITING_BYTES) socket.send(samples);
      else this.onState("slow");
    };
    socket.addEventListener("close", ({ reason }) => this.closed(socket, reason));
  }

  send() {}

  closed(socket, reason) {
    if (this.socket !== socket) return;
    this.socket = null;
    if (!this.wanted) return;
    const pause = PAUSES_MS[Math.min(this.tries, PAUSES_MS.length - 1)];
    this.tries += 1;
    this.onState("away", reason);
    this.timer = setTimeout(() => this.wanted && this.connect(), pause);
  }

  // The last window is still answered; then the server closes.
  stop() {
    this.wanted = false;
    clearTimeout(this.timer);
    const { socket } = this;
    this.socket = null;
    this.send = () => {};
    if (socket?.readyState === WebSocket.OPEN) socket.send("stop");
    else socket?.close();
  }
}
