// Pictures of shots, taken from the title's own video by a second player that nobody sees, one at a time.

export class Thumbnails {
  private readonly video = document.createElement("video");
  private readonly taken = new Map<number, ImageBitmap>();
  private readonly waiting = new Map<number, (picture: ImageBitmap) => void>();
  private busy = false;

  constructor(address: string) {
    this.video.muted = true;
    this.video.preload = "metadata";
    this.video.playsInline = true;
    this.video.src = address;
  }

  /** Call `done` with the picture at a time; forget about it by calling what is returned. */
  want(at: number, done: (picture: ImageBitmap) => void): () => void {
    const known = this.taken.get(at);
    if (known) done(known);
    else {
      this.waiting.set(at, done);
      void this.work();
    }
    return () => this.waiting.delete(at);
  }

  close(): void {
    this.waiting.clear();
    this.video.removeAttribute("src");
    this.video.load();
  }

  private async work(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    try {
      while (this.waiting.size) {
        // What was asked for last is what is looked at now.
        const [at, done] = [...this.waiting].pop()!;
        const picture = await this.take(at);
        if (!picture) break;
        this.taken.set(at, picture);
        this.waiting.delete(at);
        done(picture);
      }
    } finally {
      this.busy = false;
    }
  }

  private take(at: number): Promise<ImageBitmap | null> {
    const video = this.video;
    return new Promise((resolve) => {
      const failed = (): void => resolve(null);
      const ready = (): void => {
        const height = 72;
        const width = Math.round((height * video.videoWidth) / Math.max(1, video.videoHeight));
        createImageBitmap(video, { resizeWidth: Math.max(1, width), resizeHeight: height }).then(resolve, failed);
      };
      const seek = (): void => {
        video.addEventListener("seeked", ready, { once: true });
        video.currentTime = at;
      };
      video.addEventListener("error", failed, { once: true });
      if (video.error) failed();
      else if (video.readyState >= 1) seek();
      else video.addEventListener("loadedmetadata", seek, { once: true });
    });
  }
}
