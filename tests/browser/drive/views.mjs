// Every view, light, dark and narrow: what axe finds, whether anything sticks out, and a picture of it.

import { asked, browse, faults, picture } from "./browser.mjs";

const KINDS = { light: {}, dark: { colorScheme: "dark" }, narrow: { viewport: { width: 390, height: 844 } } };

await browse(async (open, found) => {
  found.faults = [];
  found.wide = [];
  for (const [kind, options] of Object.entries(KINDS)) {
    const page = await open(options);
    for (const [name, place, sign] of asked.views) {
      await page.goto(`${asked.url}/${place}`);
      await page.locator(sign).first().waitFor();
      await page.waitForTimeout(700);
      for (const fault of await faults(page)) found.faults.push(`${kind} ${name}: ${fault}`);
      const [whole, window] = await page.evaluate(() => [document.scrollingElement.scrollWidth, innerWidth]);
      if (whole > window) found.wide.push(`${kind} ${name}: ${whole} of ${window}`);
      await picture(page, `${name}-${kind}`, { fullPage: true });
    }
    await page.context().close();
  }
});
