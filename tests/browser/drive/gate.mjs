// A server that wants a key: it is asked for once, and then players and streams work as well.

import { asked, browse, faults, picture } from "./browser.mjs";

await browse(async (open, found) => {
  const page = await open();
  await page.goto(`${asked.url}/#/jobs/${asked.job}/titles/${asked.title}`);
  await page.getByLabel("Key").fill("cdk_wrong");
  await page.getByRole("button", { name: "Enter" }).click();
  found.refused = await page.getByRole("alert").innerText();
  found.faults = await faults(page);
  await picture(page, "gate");
  await page.getByLabel("Key").fill(asked.key);
  await page.getByRole("button", { name: "Enter" }).click();
  await page.locator(".rows-all .line-row").first().waitFor();
  await page.waitForFunction(() => document.querySelector("video").readyState >= 2);
  found.cookies = (await page.context().cookies()).map(({ name, httpOnly, sameSite, path }) => ({ name, httpOnly, sameSite, path }));
  found.scriptsSee = await page.evaluate(() => document.cookie);
  found.stored = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }));
  found.command = await page.locator("button.curl").first().getAttribute("title");
  await page.getByRole("button", { name: "Forget key" }).click();
  await page.getByLabel("Key").waitFor();
  await page.reload();
  await page.getByLabel("Key").waitFor();
  found.left = true;
});
