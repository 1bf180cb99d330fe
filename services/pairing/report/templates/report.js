"use strict";
(() => {
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const FADE = 0.012;
  let context = null;
  let current = null;

  function bytes(url) {
    const text = atob(url.slice(url.indexOf(",") + 1));
    return Uint8Array.from(text, (letter) => letter.charCodeAt(0)).buffer;
  }

  function toast(text) {
    const note = document.getElementById("said");
    note.textContent = text;
    note.classList.add("up");
    setTimeout(() => note.classList.remove("up"), 1600);
  }

  // All tracks of a shot play at once and only one is heard, so that a switch is exact to the sample.
  class Shot {
    constructor(box) {
      this.box = box;
      this.seconds = Number(box.dataset.seconds);
      this.rows = all(".row[data-track]", box);
      this.button = box.querySelector(".play");
      this.slider = box.querySelector("input[type=range]");
      this.clock = box.querySelector(".clock");
      this.chosen = 0;
      this.position = 0;
      this.voices = null;
      box.classList.add("live");
      this.button.hidden = false;
      this.slider.disabled = false;
      this.button.addEventListener("click", () => (this.voices ? this.stop() : this.play()));
      this.slider.addEventListener("input", () => this.seek(Number(this.slider.value)));
      this.rows.forEach((row, number) => {
        const pick = row.querySelector(".pick");
        pick.disabled = false;
        pick.title = "Listen to this track";
        pick.addEventListener("click", () => { this.choose(number); if (!this.voices) this.play(); });
        const strip = row.querySelector(".strip");
        strip.addEventListener("click", (event) => {
          const place = strip.getBoundingClientRect();
          this.choose(number);
          this.seek((event.clientX - place.left) / place.width * this.seconds);
          if (!this.voices) this.play();
        });
      });
    }

    choose(number) {
      this.chosen = number;
      this.rows.forEach((row, other) => {
        row.classList.toggle("on", other === number);
        row.querySelector(".pick").setAttribute("aria-pressed", String(other === number));
      });
      if (!this.voices) return;
      this.voices.forEach((voice, other) => voice.gain.gain.setTargetAtTime(other === number ? 1 : 0, context.currentTime, FADE / 3));
    }

    async play() {
      context = context || new AudioContext();
      await context.resume();
      if (current && current !== this) current.stop();
      current = this;
      this.box.classList.add("playing");
      this.button.setAttribute("aria-label", this.button.getAttribute("aria-label").replace("Play", "Pause"));
      try {
        this.buffers = this.buffers || await Promise.all(
          this.rows.map((row) => context.decodeAudioData(bytes(row.querySelector("audio").src))));
      } catch (error) {
        toast("This browser cannot decode the preview");
        this.stop();
        return;
      }
      if (current !== this || this.voices || !this.box.classList.contains("playing")) return;
      if (this.position >= this.seconds - 0.05) this.position = 0;
      this.start();
      this.tick();
    }

    start() {
      const at = context.currentTime + 0.03;
      this.began = at - this.position;
      this.voices = this.buffers.map((buffer, number) => {
        const source = context.createBufferSource();
        const gain = context.createGain();
        gain.gain.value = number === this.chosen ? 1 : 0;
        source.buffer = buffer;
        source.connect(gain).connect(context.destination);
        source.start(at, this.position);
        return { source, gain };
      });
    }

    silence() {
      if (this.voices) this.voices.forEach((voice) => { voice.source.stop(); voice.gain.disconnect(); });
      this.voices = null;
    }

    stop() {
      this.silence();
      this.box.classList.remove("playing");
      this.button.setAttribute("aria-label", this.button.getAttribute("aria-label").replace("Pause", "Play"));
      if (current === this) current = null;
    }

    seek(position) {
      this.position = Math.min(Math.max(position, 0), this.seconds);
      if (this.voices) { this.silence(); this.start(); }
      this.show();
    }

    tick() {
      if (!this.voices) return;
      this.position = Math.max(0, context.currentTime - this.began);
      if (this.position >= this.seconds) { this.position = this.seconds; this.stop(); }
      this.show();
      requestAnimationFrame(() => this.tick());
    }

    show() {
      this.box.classList.add("moved");
      this.box.style.setProperty("--head", String(Math.min(1, this.position / this.seconds)));
      this.slider.value = String(this.position);
      this.clock.textContent = this.position.toFixed(1) + " s";
    }
  }

  function value(row, column) {
    const cell = row.cells[column];
    const text = cell.dataset.value ?? cell.textContent.trim();
    return text !== "" && !Number.isNaN(Number(text)) ? Number(text) : text;
  }

  function sortable(table) {
    const body = table.tBodies[0];
    all("thead th", table).forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      head.classList.add("can");
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        all("thead th", table).forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...body.rows].sort((a, b) => {
          const [x, y] = [value(a, column), value(b, column)];
          const order = typeof x === typeof y && typeof x === "number" ? x - y : String(x).localeCompare(String(y));
          return down ? -order : order;
        });
        body.append(...rows);
      });
    });
  }

  function filterable(box) {
    const form = box.querySelector(".filter");
    const rows = all("tbody tr", box);
    const texts = rows.map((row) => row.textContent.toLowerCase());
    form.hidden = false;
    const apply = () => {
      const find = form.elements.find.value.trim().toLowerCase();
      const { track, status } = form.elements;
      let shown = 0;
      rows.forEach((row, number) => {
        const fits = (!track.value || row.dataset.track === track.value)
          && (!status.value || row.dataset.status === status.value) && texts[number].includes(find);
        row.hidden = !fits;
        shown += fits;
      });
      form.querySelector("output").textContent = `${shown} of ${rows.length} shown`;
    };
    form.addEventListener("input", apply);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.apply = apply;
    apply();
  }

  // Opened from the output folder itself, the page knows what to put for OUT.
  function folder() {
    if (location.protocol !== "file:") return "OUT";
    const path = decodeURIComponent(location.pathname).replace(/\/[^/]*$/, "") || "/";
    return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
  }

  all(".shot").forEach((box) => new Shot(box));
  all("table.sortable").forEach(sortable);
  all(".lines").forEach(filterable);
  all(".copy").forEach((button) => {
    const code = button.previousElementSibling;
    code.textContent = code.textContent.replace("counterdub redub OUT", () => `counterdub redub ${folder()}`);
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code.textContent);
        toast("Copied");
      } catch (error) {
        getSelection().selectAllChildren(code);
        toast("Selected: press Ctrl or ⌘ + C");
      }
    });
  });
  all(".uid").forEach((link) => link.addEventListener("click", () => {
    const box = link.closest("section").querySelector(".lines");
    if (!box) return;
    all("tr.found", box).forEach((row) => row.classList.remove("found"));
    const form = box.querySelector(".filter");
    form.elements.find.value = form.elements.track.value = form.elements.status.value = "";
    form.apply();
    const rows = all("tbody tr", box).filter((row) => row.dataset.line === link.dataset.line);
    rows.forEach((row) => row.classList.add("found"));
    if (rows[0]) setTimeout(() => rows[0].scrollIntoView({ block: "center" }));
  }));
})();
