// The microphone: asks for it, reads it, shows its level, and hands samples on. It says in words when it is refused or
// goes away, and comes back by itself when it is plugged in again, or when another program lets go of it. The browser's own noise suppression, echo cancelling
// and automatic gain are off: they change what a voice sounds like.
const RATE_HZ = 16000;
const RAW = { channelCount: 1, noiseSuppression: false, echoCancellation: false, autoGainControl: false };
const QUIETEST_DB = -60;
const BUSY_MS = 3000; // nothing tells that another program has let go of it, so it is asked for again

export class MicRecorder {
  constructor({ button, level, onSamples, onState }) {
    Object.assign(this, { button, level, onSamples, onState, stream: null, opening: null, wanted: false });
    button.addEventListener("click", () => (this.wanted ? this.stop() : this.start()));
    if (!navigator.mediaDevices?.getUserMedia || !window.AudioWorkletNode) {
      onState("impossible");
      return;
    }
    button.disabled = false;
    navigator.mediaDevices.addEventListener("devicechange", () => this.again());
  }

  async start() {
    this.wanted = true;
    this.button.textContent = "Stop";
    this.button.classList.add("stopping");
    this.onState("asking");
    await this.open();
  }

  again() {
    if (this.wanted && !this.stream && !this.opening) this.open();
  }

  // People answer the browser's question when they like, and may have stopped, or started anew, by then.
  async open() {
    const opening = this.opening = {};
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: RAW });
      if (this.opening !== opening) {
        stream.getTracks().forEach((track) => track.stop());
        return;
      }
      this.stream = stream;
      await this.read(stream);
      if (this.opening !== opening) return;
      this.opening = null;
      stream.getAudioTracks()[0].addEventListener("ended", () => this.stream === stream && this.lost());
      this.onState("listening");
    } catch (error) {
      if (this.opening === opening) this.failed(error);
    }
  }

  async read(stream) {
    let context, source;
    try {
      context = this.context = new AudioContext({ sampleRate: RATE_HZ });
      source = context.createMediaStreamSource(stream);
    } catch { // a browser that does not bring it to our rate; the worklet does
      context?.close();
      context = this.context = new AudioContext();
      source = context.createMediaStreamSource(stream);
    }
    await context.audioWorklet.addModule(new URL("./mic-worklet.js", import.meta.url));
    const node = new AudioWorkletNode(context, "samples", { numberOfOutputs: 0 });
    node.port.addEventListener("message", ({ data }) => {
      if (this.stream !== stream) return;
      this.meter(data.peak);
      this.onSamples(data.samples);
    });
    node.port.start();
    source.connect(node);
    await context.resume();
  }

  meter(peak) {
    const db = 20 * Math.log10(peak + 1e-6);
    this.level.value = Math.min(1, Math.max(0, 1 - db / QUIETEST_DB));
  }

  failed(error) {
    this.close();
    if (error.name === "NotFoundError" || error.name === "NotReadableError") {
      this.onState(error.name === "NotFoundError" ? "none" : "busy"); // still wanted: it may be plugged in
      if (error.name === "NotReadableError") setTimeout(() => this.again(), BUSY_MS);
      return;
    }
    this.wanted = false;
    this.label();
    this.onState(error.name === "NotAllowedError" ? "refused" : "impossible");
  }

  lost() {
    this.close();
    this.onState("gone");
    this.open();
  }

  stop() {
    this.wanted = false;
    this.close();
    this.label();
    this.onState("stopped");
  }

  label() {
    this.button.textContent = "Start listening";
    this.button.classList.remove("stopping");
  }

  close() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = this.opening = null;
    this.context?.close();
    this.context = null;
    this.level.value = 0;
  }
}
