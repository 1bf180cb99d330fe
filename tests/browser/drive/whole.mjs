// From a file on somebody's disk to a curve: upload, follow, listen in two languages, correct a line, train.

import { asked, browse, picture } from "./browser.mjs";

const LONG = 1_200_000;

await browse(async (open, found) => {
  const page = await open();
  const began = Date.now();
  const told = (what) => { (found.seconds ??= {})[what] = Math.round((Date.now() - began) / 1000); };
  const done = (state = "done") => page.locator(".heading .state").filter({ hasText: state }).waitFor({ timeout: LONG });

  await page.goto(`${asked.url}/`);
  await page.getByRole("link", { name: "Submit video" }).click();
  await page.setInputFiles("input[type=file]", asked.video);
  for (const language of ["Spanish", "French"]) await page.getByLabel(language, { exact: true }).check();
  await page.getByLabel("Set of engines").selectOption("fastest");
  await page.getByLabel("Name of the job").fill("Night visit");
  await page.locator(".files .quiet").filter({ hasText: /^[\d.]+ MB$/ }).waitFor();
  await picture(page, "submit");
  await page.getByRole("button", { name: "Dub", exact: true }).click();
  await page.locator(".grid .cell").first().waitFor({ timeout: LONG });
  await page.locator(".cell-running").first().waitFor({ timeout: LONG });
  found.queues = await page.getByText("Queues of this server").innerText();
  await page.locator(".grid th", { hasText: "French" }).waitFor({ timeout: LONG });
  await picture(page, "job-running");
  await done();
  told("dubbed");
  await picture(page, "job", { fullPage: true });
  found.job = /job_[0-9a-f]{32}/.exec(page.url())[0];

  await page.locator(".titles a").first().click();
  await page.locator(".rows-all .line-row").nth(1).click();
  await page.locator("#line-text").waitFor();
  await page.locator(".lane-line").first().waitFor();
  await page.waitForTimeout(1500);
  await picture(page, "title", { fullPage: true });
  const listen = () => page.evaluate(async () => {
    const player = document.querySelector(".stage").player;
    const video = document.querySelector("video");
    const off = [];
    for (let at = 0; at < 60; at++) {
      await new Promise((next) => setTimeout(next, 25));
      if (player.playing && !player.waiting) off.push([player.sound, player.position(), video.currentTime - player.heard()]);
    }
    return off;
  });
  await page.locator("[data-sound=es]").click();
  await page.getByRole("button", { name: "Play", exact: true }).click();
  await page.waitForFunction(() => { const { player } = document.querySelector(".stage"); return player.playing && !player.waiting && player.context.state === "running"; });
  await page.waitForTimeout(1500);
  found.heard = await listen();
  await page.locator("[data-sound=fr]").click();
  await page.waitForTimeout(600);
  found.heard.push(...(await listen()));
  await page.getByRole("button", { name: "Pause", exact: true }).click();

  // A line is corrected; what it was stays to be heard.
  await page.locator(".title-lines .tabs button", { hasText: "Spanish" }).click();
  await page.locator(".rows-all .line-row").nth(1).click();
  found.before = await page.locator("#line-text").inputValue();
  const loudness = () => page.evaluate(async () => {
    const address = `${location.hash.split("/").slice(1, 3).join("/")}`;
    const peaks = await (await fetch(`/v1/${address}/sounds/speech.es/peaks?start=0&seconds=60&points=2000`)).json();
    return peaks.high;
  });
  const old = await loudness();
  await page.locator("#line-text").fill(asked.text);
  const edited = Date.now();
  await page.getByRole("button", { name: "Dub again" }).click();
  await page.getByText("The line is being made").waitFor();
  await page.locator(".versions li").first().waitFor({ timeout: LONG });
  await page.waitForFunction((text) => document.querySelector(".line-chosen")?.textContent.includes(text), asked.text, { timeout: LONG });
  found.redubbed = (Date.now() - edited) / 1000;
  told("edited");
  found.changed = JSON.stringify(old) !== JSON.stringify(await loudness());
  found.versions = await page.locator(".versions li span").first().innerText();
  const [answer] = await Promise.all([
    page.waitForResponse((response) => response.url().includes("/versions/")),
    page.getByRole("button", { name: "Hear as it was" }).first().click(),
  ]);
  found.oldSound = answer.status();
  await page.getByRole("button", { name: "Hear this line" }).click();
  await page.waitForFunction(() => document.querySelector(".stage").player.playing);
  await page.waitForTimeout(500);
  await picture(page, "edited", { fullPage: true });

  await page.goto(`${asked.url}/#/dataset?job=${found.job}`);
  await page.locator("[data-count]").waitFor();
  await picture(page, "dataset");

  await page.goto(`${asked.url}/#/trainings?job=${found.job}`);
  await page.locator(".begin select").selectOption(asked.recipe);
  await page.locator(".begin textarea").fill(asked.settings);
  await page.getByRole("button", { name: "Train", exact: true }).click();
  const drawn = (least) => page.waitForFunction((least) => Number(document.querySelector("[data-points]")?.dataset.points ?? 0) >= least, least, { timeout: LONG });
  await drawn(1);
  found.first = Number(await page.locator("[data-points]").first().getAttribute("data-points"));
  await drawn(asked.points);
  found.points = Number(await page.locator("[data-points]").first().getAttribute("data-points"));
  await done();
  told("trained");
  await page.locator("a.button", { hasText: "checkpoint.pt" }).waitFor();
  await page.waitForTimeout(500);
  await picture(page, "training", { fullPage: true });
  found.retrieval = await page.locator(".plain").innerText();
  await page.goto(`${asked.url}/`);
  await page.locator(".job-row").first().waitFor();
  await picture(page, "jobs");
});
