// Thresholds are moved; the page counts anew.

import { asked, browse } from "./browser.mjs";

await browse(async (open, found) => {
  const page = await open();
  await page.goto(`${asked.url}/#/dataset?job=${asked.job}`);
  const count = async () => Number(await page.locator("[data-count]").getAttribute("data-count"));
  await page.locator("[data-count]").waitFor();
  found.before = await count();
  found.counts = [];
  for (const [setting, value] of asked.moves) {
    await page.locator(`[data-setting=${setting}] input`).evaluate((input, to) => {
      // As a hand that drags it does: the value, then the event.
      Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(input, String(to));
      input.dispatchEvent(new Event("input", { bubbles: true }));
    }, value);
    await page.waitForTimeout(200);
    const began = performance.now();
    found.counts.push([await count(), Number(await page.locator(`[data-setting=${setting}] input`).inputValue())]);
    found.slowest = Math.max(found.slowest ?? 0, performance.now() - began);
  }
  const address = page.url();
  await page.reload();
  await page.locator("[data-count]").waitFor();
  found.reloaded = await count();
  found.address = address;
  await page.getByRole("button", { name: "As they were" }).click();
  found.after = await count();
});
