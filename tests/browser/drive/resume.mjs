// An upload that breaks off, and the page is loaded anew: the same file goes on where it stopped.

import { asked, browse } from "./browser.mjs";

await browse(async (open, found) => {
  const page = await open();
  let blocked = true;
  found.offsets = [];
  await page.route("**/v1/uploads/*", async (route) => {
    const request = route.request();
    if (request.method() === "PATCH" && blocked && request.headers()["upload-offset"] !== "0") return; // Hangs for ever.
    if (request.method() === "PATCH") found.offsets.push(Number(request.headers()["upload-offset"]));
    await route.continue();
  });
  await page.goto(`${asked.url}/#/submit`);
  await page.getByLabel("Japanese", { exact: true }).check();
  await page.getByLabel("Name of the job").fill("Half a film");
  await page.getByLabel("Set of engines").selectOption("paper");
  found.warned = await page.locator(".warn", { hasText: "forbids commercial use" }).innerText();
  await page.setInputFiles("input[type=file]", asked.video);
  await page.locator(".files .quiet").filter({ hasText: "of" }).waitFor();
  await page.waitForFunction((size) => Number(document.querySelector(".files [role=progressbar]").ariaValueNow) >= Math.floor((100 * size[0]) / size[1]), [asked.chunk, asked.size]);
  await page.waitForTimeout(300);
  page.on("dialog", (dialog) => dialog.accept());
  await page.reload();
  blocked = false;
  found.kept = [await page.getByLabel("Japanese", { exact: true }).isChecked(), await page.getByLabel("Name of the job").inputValue(), await page.getByLabel("Set of engines").inputValue()];
  found.before = found.offsets.length;
  await page.setInputFiles("input[type=file]", asked.video);
  await page.locator(".files .quiet").filter({ hasText: /^[\d.]+ MB$/ }).waitFor();
  found.says = await page.locator(".bottom [aria-live]").innerText();
  await page.locator(".warn input").check();
  found.ready = await page.getByRole("button", { name: "Dub", exact: true }).isEnabled();
  found.command = await page.locator(".bottom .curl").first().getAttribute("title");
});
