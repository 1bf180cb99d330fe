// The title view by keyboard alone, then reloaded: nothing may be lost.

import { asked, browse } from "./browser.mjs";

await browse(async (open, found) => {
  const page = await open();
  const place = `${asked.url}/#/jobs/${asked.job}/titles/${asked.title}`;
  await page.goto(place);
  await page.locator(".rows-all .line-row").first().waitFor();
  const state = () => page.evaluate(() => {
    const player = document.querySelector(".stage").player;
    const pressed = [...document.querySelectorAll("[data-sound][aria-pressed=true]")].map((one) => one.dataset.sound);
    return { at: player.position(), playing: player.playing, pressed, line: document.querySelector("[aria-selected=true]")?.textContent ?? "" };
  });
  const press = async (...keys) => {
    for (const key of keys) await page.keyboard.press(key);
    await page.waitForTimeout(250);
    return state();
  };
  found.right = await press("ArrowRight", "ArrowRight", "Shift+ArrowRight");
  found.left = await press("ArrowLeft");
  found.third = await press("3");
  found.next = await press("]");
  found.line = await press("n", "n");
  await page.keyboard.press("e");
  found.writing = await page.evaluate(() => document.activeElement.id);
  await page.keyboard.type(" ¡Vamos! 3 n ]");
  found.typed = await state();
  await page.keyboard.press("Escape");
  found.playing = await press("k");
  found.paused = await press("k");
  const before = await page.evaluate(() => document.getElementById("line-text").value);
  await page.selectOption("[aria-label='First sound']", "orig");
  await page.waitForTimeout(500);
  const address = page.url();
  await page.reload();
  await page.locator("#line-text").waitFor();
  found.reloaded = await state();
  found.kept = {
    address: page.url() === address,
    text: (await page.evaluate(() => document.getElementById("line-text").value)) === before,
    first: await page.locator("[aria-label='First sound']").inputValue(),
    at: Math.abs(found.reloaded.at - found.paused.at),
  };
  // The way through the page by Tab, from its top: where the focus is must be seen each time.
  await page.evaluate(() => document.activeElement?.blur());
  found.tabs = [];
  for (let at = 0; at < 12; at++) {
    await page.keyboard.press("Tab");
    found.tabs.push(await page.evaluate(() => {
      const style = getComputedStyle(document.activeElement);
      return [document.activeElement.textContent.trim().slice(0, 30) || document.activeElement.getAttribute("aria-label"), style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1];
    }));
  }
  // What the page gives to be copied.
  found.commands = await page.evaluate(() => [...document.querySelectorAll("button.curl")].map((one) => one.title));
});
