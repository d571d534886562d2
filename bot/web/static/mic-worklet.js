// In the audio thread: what the microphone hears as 16-bit samples at 16 kHz, a tenth of a second at a time, with its
// level. Browsers that keep the sound card's own rate are brought to 16 kHz here, by a windowed sinc.
const RATE_HZ = 16000;
const CHUNK = 1600;
const ZEROS = 16; // of the sinc, on each side

class Samples extends AudioWorkletProcessor {
  constructor() {
    super();
    this.ratio = sampleRate / RATE_HZ;
    this.reach = Math.ceil(ZEROS * Math.max(1, this.ratio));
    this.held = new Float32Array(2 * this.reach); // silence before the first sample
    this.at = this.reach; // where in `held` the next sample lies
    this.chunk = new Int16Array(CHUNK);
    this.filled = 0;
    this.peak = 0;
  }

  process([[channel]]) {
    if (!channel) return true;
    if (this.ratio === 1) channel.forEach((sample) => this.put(sample));
    else this.resample(channel);
    return true;
  }

  resample(channel) {
    const samples = new Float32Array(this.held.length + channel.length);
    samples.set(this.held);
    samples.set(channel, this.held.length);
    const cut = Math.min(1, 1 / this.ratio);
    for (; this.at + this.reach < samples.length; this.at += this.ratio) {
      let sum = 0;
      const middle = Math.floor(this.at);
      for (let i = middle - this.reach + 1; i <= middle + this.reach; i += 1) {
        const x = i - this.at;
        const t = Math.PI * cut * x;
        const window = 0.5 + 0.5 * Math.cos((Math.PI * x) / this.reach);
        sum += samples[i] * cut * (t === 0 ? 1 : Math.sin(t) / t) * window;
      }
      this.put(sum);
    }
    const drop = Math.max(0, Math.floor(this.at) - this.reach);
    this.held = samples.slice(drop);
    this.at -= drop;
  }

  put(sample) {
    this.peak = Math.max(this.peak, Math.abs(sample));
    this.chunk[this.filled] = Math.max(-32768, Math.min(32767, Math.round(sample * 32768)));
    this.filled += 1;
    if (this.filled < CHUNK) return;
    this.port.postMessage({ samples: this.chunk.buffer, peak: this.peak }, [this.chunk.buffer]);
    this.chunk = new Int16Array(CHUNK);
    this.filled = 0;
    this.peak = 0;
  }
}

registerProcessor("samples", Samples);
