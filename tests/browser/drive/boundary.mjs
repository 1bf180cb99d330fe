// Change the language shortly before a piece ends, while the next piece of the new one cannot be had; then when it can.

import { asked, browse, record } from "./browser.mjs";

await browse(async (open, found) => {
  const page = await open({ bypassCSP: true });
  const broken = (url) => url.pathname.endsWith(`/${asked.second}/piece`) && Number(url.searchParams.get("start")) >= 4;
  await page.route(broken, (route) => route.abort());
  await page.goto(`${asked.url}/#/jobs/${asked.job}/titles/${asked.title}?t=2`);
  await page.getByRole("button", { name: "Play", exact: true }).click();
  found.recorded = await record(page, 2, async () => {
    found.at = await page.evaluate(
      (sound) =>
        new Promise((resolve) => {
          const player = document.querySelector(".stage").player;
          const near = setInterval(() => {
            if (player.position() < 3.72) return;
            clearInterval(near);
            document.querySelector(`[data-sound="${sound}"]`).click();
            resolve(player.position());
          }, 5);
        }),
      asked.second,
    );
  });
  const state = () =>
    page.evaluate(() => {
      const player = document.querySelector(".stage").player;
      return { sound: player.sound, playing: player.playing, position: player.position() };
    });
  found.broken = await state();
  await page.unroute(broken);
  await page.locator(`[data-sound="${asked.second}"]`).click();
  await page.waitForTimeout(800);
  found.mended = await state();
});
