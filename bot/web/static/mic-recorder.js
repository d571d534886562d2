// The microphone as whole recordings of three seconds: each is a file of its own, so any of them can be decoded alone.
const CHUNK_MS = 3000;
const TYPES = ["audio/webm;codecs=opus", "audio/ogg;codecs=opus", "audio/mp4"];

export class MicRecorder {
  constructor({ button, level, say, onChunk }) {
    this.button = button;
    this.level = level;
    this.say = say;
    this.onChunk = onChunk;
    this.stream = null;
    this.timer = null;
    this.current = null;
    button.addEventListener("click", () => (this.stream ? this.stop() : this.start()));
    document.addEventListener("visibilitychange", () => document.hidden && this.stream && this.stop("Paused: the page was hidden."));
  }

  enable() {
    if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) {
      this.say("This browser gives no microphone here. It needs a current browser, and https or this machine's own address.");
      return;
    }
    this.type = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    this.button.disabled = false;
  }

  async start() {
    this.button.disabled = true;
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } });
    } catch (error) {
      this.say(error.name === "NotAllowedError" ? "The microphone was not allowed." : "No microphone was found.");
      return;
    } finally {
      this.button.disabled = false;
    }
    this.stream.getAudioTracks()[0].addEventListener("ended", () => this.stop("The microphone went away."));
    this.button.textContent = "Stop listening";
    this.say("Listening.");
    this.meter();
    this.next();
    this.timer = setInterval(() => this.next(), CHUNK_MS);
  }

  stop(text = "Not listening.") {
    clearInterval(this.timer);
    if (this.current?.state === "recording") this.current.stop();
    this.current = null;
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.context?.close();
    this.context = null;
    this.level.value = 0;
    this.button.textContent = "Start listening";
    this.say(text);
  }

  next() {
    const previous = this.current;
    const recorder = new MediaRecorder(this.stream, { mimeType: this.type, audioBitsPerSecond: 64000 });
    recorder.addEventListener("dataavailable", (event) => event.data.size > 0 && this.onChunk(event.data));
    recorder.start(); // before the previous one stops, so that nothing falls between them
    this.current = recorder;
    if (previous?.state === "recording") previous.stop();
  }

  meter() {
    this.context = new AudioContext();
    const analyser = this.context.createAnalyser();
    analyser.fftSize = 1024;
    this.context.createMediaStreamSource(this.stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const read = () => {
      if (!this.stream || !this.context) return;
      analyser.getFloatTimeDomainData(samples);
      const rms = Math.sqrt(samples.reduce((sum, value) => sum + value * value, 0) / samples.length);
      this.level.value = Math.min(1, Math.max(0, 1 + Math.log10(rms + 1e-6) / 2.5));
      requestAnimationFrame(read);
    };
    read();
  }
}
