// Sound that is exact to the sample, and a picture that follows it.
//
// All sounds of a title share one clock, the sound card's. Pieces of four seconds are fetched and laid end to end on that
// clock; changing the language fades to the same moment of another sound, so the position cannot move. The silent
// picture is held to that clock: it runs a little faster or slower, and jumps only when it is far off.

export const RATE = 48_000;
const PIECE = 4;
const AHEAD = 9;
const SOON = 0.3;
/** Seconds from now that a sound may be asked for, at least: what is rendered is ahead of the page's clock by a buffer. */
const LEAD = 0.1;
const FADE = 0.012;
const KEPT = 40;
const SMALL = 0.008;
const FAR = 0.25;
const PATIENCE = 1500;

export interface Wanted {
  name: string;
  sha256: string;
}

type Fetch = (sound: string, start: number, seconds: number) => Promise<ArrayBuffer>;

interface Voice {
  sound: Wanted;
  gain: GainNode;
  /** Null: it has been heard, or there was nothing left of it. */
  laid: Map<number, AudioBufferSourceNode | null>;
}

export class Player {
  readonly context = new AudioContext({ sampleRate: RATE, latencyHint: "playback" });
  readonly output = this.context.createGain();
  playing = false;
  waiting = false;
  private voice: Voice | null = null;
  private next: Voice | null = null;
  private pieces = new Map<string, Promise<AudioBuffer>>();
  private from = 0;
  private since = 0;
  private until = Infinity;
  private jumped = 0;
  private timer = 0;
  private again = 0;

  constructor(
    private readonly fetch: Fetch,
    private readonly duration: number,
    private readonly changed: () => void,
    private readonly failed: (error: unknown) => void,
    private video: HTMLVideoElement | null = null,
  ) {
    this.output.connect(this.context.destination);
    void this.context.suspend();
  }

  /** Seconds on the title's clock of what leaves the player now. */
  position(): number {
    const at = this.playing ? this.from + this.context.currentTime - this.since : this.from;
    return Math.min(Math.max(0, at), this.duration);
  }

  /** The same of what is heard: the sound card is a little behind. */
  heard(): number {
    const late = this.playing && this.context.state === "running" ? this.context.outputLatency || 0 : 0;
    return Math.max(0, this.position() - late);
  }

  private get lead(): number {
    return Math.max(LEAD, 2 * this.context.baseLatency);
  }

  /** Pieces of the title; the container's last hundredths may be without sound. */
  private get count(): number {
    return Math.ceil((this.duration - 0.1) / PIECE);
  }

  get sound(): string | null {
    return (this.next ?? this.voice)?.sound.name ?? null;
  }

  watch(video: HTMLVideoElement | null): void {
    this.video = video;
    if (video) video.currentTime = this.position();
  }

  play(start?: number, end = Infinity): void {
    if (!this.voice) return;
    const at = start ?? (this.position() >= this.duration - 0.05 ? 0 : this.position());
    this.until = end;
    this.playing = true;
    this.begin(at);
    this.tick();
    this.changed();
  }

  pause(): void {
    this.from = this.position();
    this.playing = false;
    this.until = Infinity;
    this.silence(this.voice);
    void this.context.suspend();
    this.video?.pause();
    if (this.video) this.video.currentTime = this.from;
    clearTimeout(this.timer);
    this.changed();
  }

  seek(at: number): void {
    const to = Math.min(Math.max(0, at), this.duration);
    this.until = Infinity;
    if (this.playing) this.begin(to);
    else {
      this.from = to;
      if (this.video) this.video.currentTime = to;
    }
    this.changed();
  }

  /** Hear another sound from this very moment on; false if it cannot be had, and the one before goes on. */
  async listen(sound: Wanted): Promise<boolean> {
    if (this.voice?.sound.sha256 === sound.sha256 && this.voice.sound.name === sound.name) {
      this.next = null;
      return true;
    }
    const fresh: Voice = { sound, gain: this.context.createGain(), laid: new Map() };
    fresh.gain.gain.value = 0;
    fresh.gain.connect(this.output);
    this.next = fresh;
    try {
      // The old sound goes on until the new one is here, and what follows soon with it.
      if (this.playing) await this.lay(fresh, SOON);
    } catch (error) {
      this.silence(fresh);
      const latest = this.next === fresh;
      if (latest) this.next = null;
      this.failed(error);
      return !latest;
    }
    if (this.next !== fresh) {
      this.silence(fresh);
      return true;
    }
    const old = this.voice;
    this.voice = fresh;
    this.next = null;
    if (this.playing) {
      const now = this.context.currentTime + this.lead;
      fresh.gain.gain.setValueAtTime(0, now);
      fresh.gain.gain.linearRampToValueAtTime(1, now + FADE);
      if (old) {
        old.gain.gain.setValueAtTime(1, now);
        old.gain.gain.linearRampToValueAtTime(0, now + FADE);
        setTimeout(() => this.silence(old), 1000 * (this.lead + FADE) + 200);
      }
    } else {
      this.silence(old);
      fresh.gain.gain.value = 1;
    }
    this.changed();
    return true;
  }

  close(): void {
    clearTimeout(this.timer);
    this.playing = false;
    void this.context.close();
  }

  private begin(at: number): void {
    this.silence(this.voice);
    this.from = at;
    this.since = this.context.currentTime;
    if (this.voice) this.voice.gain.gain.setValueAtTime(1, this.context.currentTime);
    if (this.video) {
      this.video.currentTime = at;
      this.video.playbackRate = 1;
    }
    void this.supply();
  }

  private silence(voice: Voice | null): void {
    for (const source of voice?.laid.values() ?? []) {
      source?.stop();
      source?.disconnect();
    }
    voice?.laid.clear();
  }

  private piece(sound: Wanted, number: number): Promise<AudioBuffer> {
    const key = `${sound.sha256}/${number}`;
    const known = this.pieces.get(key);
    if (known) {
      this.pieces.delete(key);
      this.pieces.set(key, known);
      return known;
    }
    const coming = this.fetch(sound.name, number * PIECE, PIECE).then((bytes) => this.context.decodeAudioData(bytes));
    coming.catch(() => this.pieces.delete(key));
    this.pieces.set(key, coming);
    for (const old of this.pieces.keys()) {
      if (this.pieces.size <= KEPT) break;
      this.pieces.delete(old);
    }
    return coming;
  }

  /** Lay the pieces from here to a few seconds ahead, those that are not laid yet. */
  private async lay(voice: Voice, ahead = AHEAD): Promise<void> {
    const last = Math.min(Math.floor((this.position() + ahead) / PIECE), this.count - 1);
    for (let number = Math.floor(this.position() / PIECE); number <= last; number++) {
      if (voice.laid.has(number)) continue;
      const [from, since] = [this.from, this.since];
      const buffer = await this.piece(voice.sound, number);
      // Somebody may have jumped, paused or changed the sound meanwhile.
      if (!this.playing || from !== this.from || since !== this.since || (voice !== this.voice && voice !== this.next))
        return;
      if (voice.laid.has(number)) continue;
      const begins = this.since + number * PIECE - this.from;
      // A start that is over when it is rendered would happen at once, with what should have been heard before it.
      const now = this.context.currentTime + (this.context.state === "running" ? this.lead : 0);
      const missed = Math.max(0, now - begins);
      if (missed >= buffer.duration) {
        voice.laid.set(number, null);
        continue;
      }
      const source = this.context.createBufferSource();
      source.buffer = buffer;
      source.connect(voice.gain);
      source.start(Math.max(begins, now), missed);
      voice.laid.set(number, source);
      source.onended = () => voice.laid.get(number) === source && voice.laid.set(number, null);
    }
  }

  /** What is needed now must be here: without it, the clock stands still. */
  private async supply(): Promise<void> {
    const voice = this.voice;
    if (!voice || !this.playing || this.waiting) return;
    const number = Math.floor(this.position() / PIECE);
    const late = number < this.count && !voice.laid.has(number);
    if (late) {
      this.waiting = true;
      await this.context.suspend();
      try {
        await Promise.all([this.lay(voice, SOON), this.shown()]);
      } catch (error) {
        this.waiting = false;
        this.pause();
        this.failed(error);
        return;
      }
      this.waiting = false;
      if (this.playing) await this.context.resume();
      // Somebody may have jumped meanwhile: then other pieces are needed.
      if (this.playing) return this.supply();
    }
    if (performance.now() < this.again) return;
    void this.lay(voice).catch((error) => {
      // What is laid already is heard meanwhile; a server that is away is not asked twenty times a second.
      this.again = performance.now() + PATIENCE;
      this.failed(error);
    });
  }

  /** Until the picture is where it should be; a picture that does not come is not waited for long. */
  private shown(): Promise<void> {
    const video = this.video;
    if (!video || video.error) return Promise.resolve();
    return new Promise((resolve) => {
      const ready = (): void => {
        if (video.seeking || video.readyState < 3) return;
        video.removeEventListener("seeked", ready);
        video.removeEventListener("canplay", ready);
        resolve();
      };
      video.addEventListener("seeked", ready);
      video.addEventListener("canplay", ready);
      setTimeout(resolve, PATIENCE);
      ready();
    });
  }

  private tick(): void {
    clearTimeout(this.timer);
    if (!this.playing) return;
    if (this.position() >= Math.min(this.until, this.duration)) {
      this.pause();
      return;
    }
    void this.supply();
    this.hold();
    this.timer = setTimeout(() => this.tick(), 50) as unknown as number;
  }

  /** Hold the picture to the sound. */
  private hold(): void {
    const video = this.video;
    if (!video || video.readyState < 2 || video.seeking) return;
    if (this.waiting || this.context.state !== "running") {
      if (!video.paused) video.pause();
      return;
    }
    if (video.paused && !video.ended) void video.play().catch(() => undefined);
    const off = video.currentTime - this.heard();
    if (Math.abs(off) > FAR && performance.now() - this.jumped > 1500) {
      this.jumped = performance.now();
      // By the time it is there, the sound has gone on a little.
      video.currentTime = this.heard() + 0.08;
      video.playbackRate = 1;
    } else {
      video.playbackRate = Math.abs(off) < SMALL ? 1 : 1 - Math.min(0.2, Math.max(-0.2, off * 2.5));
    }
  }
}
