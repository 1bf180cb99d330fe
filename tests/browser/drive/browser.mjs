// A browser for the tests: Debian's Chromium, driven by Playwright; what a page complains of counts as a failure.

import { createRequire } from "node:module";
import { mkdirSync } from "node:fs";
import path from "node:path";

const require = createRequire(path.resolve(import.meta.dirname, "../../../services/web/package.json"));
const { chromium } = require("playwright-core");

export const asked = JSON.parse(process.env.DRIVE_ASKED);
export const axePath = require.resolve("axe-core/axe.min.js");

const QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

export async function browse(work) {
  const browser = await chromium.launch({ executablePath: asked.chromium, args: QUIET });
  const found = { complaints: [] };
  try {
    await work(async (options = {}) => {
      const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
      const page = await context.newPage();
      page.setDefaultTimeout(asked.patience ?? 30_000);
      page.on("pageerror", (error) => found.complaints.push(String(error)));
      page.on("console", (message) => message.type() === "error" && !expected(message) && found.complaints.push(message.text()));
      return page;
    }, found);
  } finally {
    await browser.close();
  }
  process.stdout.write(`${JSON.stringify(found)}\n`);
}

/** The browser itself notes refused requests; tests look at what the page makes of them. */
function expected(message) {
  return message.text().startsWith("Failed to load resource");
}

export async function picture(page, name, options = {}) {
  mkdirSync(asked.screens, { recursive: true });
  await page.screenshot({ path: path.join(asked.screens, `${name}.png`), ...options });
}

/** Serious faults that axe finds, as `rule: element`. */
export async function faults(page) {
  await page.evaluate(await (await import("node:fs/promises")).readFile(axePath, "utf8"));
  const result = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return result.violations
    .filter((one) => ["serious", "critical"].includes(one.impact))
    .flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.target.join(" ")} (${node.any[0]?.message ?? one.help})`));
}

/** Record what the title's player gives out: samples, and where it said it was. */
export async function record(page, seconds, during = async () => undefined) {
  await page.evaluate(async () => {
    const player = document.querySelector(".stage").player;
    const code = `registerProcessor("tap", class extends AudioWorkletProcessor {
      process(inputs) { if (inputs[0][0]) this.port.postMessage([currentTime, inputs[0][0].slice()]); return true; } });`;
    await player.context.audioWorklet.addModule(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
    const tap = new AudioWorkletNode(player.context, "tap");
    globalThis.taped = [];
    globalThis.claims = [];
    globalThis.frames = [];
    tap.port.onmessage = (event) => globalThis.taped.push(event.data);
    player.output.connect(tap);
    const video = document.querySelector("video");
    const framed = (_, data) => {
      globalThis.frames.push([data.mediaTime, player.heard()]);
      video.requestVideoFrameCallback(framed);
    };
    video.requestVideoFrameCallback(framed);
    globalThis.claiming = setInterval(() => {
      if (!player.playing || player.waiting || player.context.state !== "running") return;
      const video = document.querySelector("video");
      globalThis.claims.push([player.context.currentTime, player.position(), player.heard(), video.currentTime, player.sound]);
    }, 20);
  });
  await during();
  await page.waitForTimeout(seconds * 1000);
  return page.evaluate(() => {
    clearInterval(globalThis.claiming);
    const samples = [];
    for (const [, block] of globalThis.taped) for (const one of block) samples.push(Math.round(one * 1e4) / 1e4);
    return { times: globalThis.taped.map(([time]) => time), samples, claims: globalThis.claims, frames: globalThis.frames };
  });
}
