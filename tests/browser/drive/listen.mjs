// Play a title, change the language meanwhile, and tell what came out and where the page said it was.

import { asked, browse, record } from "./browser.mjs";

await browse(async (open, found) => {
  const page = await open({ bypassCSP: true });
  await page.goto(`${asked.url}/#/jobs/${asked.job}/titles/${asked.title}?t=${asked.start ?? 0}`);
  await page.getByRole("button", { name: "Play", exact: true }).click();
  found.recorded = await record(page, 2.5, async () => {
    await page.waitForTimeout(3000);
    await page.locator(`[data-sound="${asked.second}"]`).click();
  });
});
