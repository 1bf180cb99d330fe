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
    return { at: player.position(), playing: player.playing, pressed, line: document.querySelector("[aria-selected=true]")?.textContent ?? "", row: Number(document.querySelector("[aria-selected=true]")?.ariaRowIndex) };
  });
  /** What the page is once it is as expected, or in the end. */
  const until = async (expected, patience = 5000) => {
    let now = await state();
    for (let waited = 0; waited < patience && !expected(now); waited += 100) {
      await page.waitForTimeout(100);
      now = await state();
    }
    return now;
  };
  const press = async (expected, ...keys) => {
    for (const key of keys) await page.keyboard.press(key);
    return until(expected);
  };
  const near = (at) => (now) => Math.abs(now.at - at) < 0.05;
  const hears = (sound) => (now) => now.pressed[0] === sound;
  found.right = await press(near(7), "ArrowRight", "ArrowRight", "Shift+ArrowRight");
  found.left = await press(near(6), "ArrowLeft");
  found.third = await press(hears("es"), "3");
  found.next = await press(hears("fr"), "]");
  // Lines come after the language: until they are there, no key can choose one.
  for (let at = 0; at < 20 && !(await until((now) => now.line, 400)).line; at++) await page.keyboard.press("n");
  found.line = await press((now) => now.line.includes("S2"), "n");
  // Faster than any hand: each key must find what the one before it chose.
  const from = found.line.row;
  found.fast = (await press((now) => now.row === from + 2, "n", "n")).row - from;
  found.back = (await press((now) => now.row === from, "p", "p")).row - from;
  await page.keyboard.press("e");
  found.writing = await page.evaluate(() => document.activeElement.id);
  await page.keyboard.type(" ¡Vamos! 3 n ]");
  found.typed = await state();
  await page.keyboard.press("Escape");
  found.playing = await press((now) => now.playing, "k");
  await page.waitForTimeout(250);
  found.paused = await press((now) => !now.playing, "k");
  const before = await page.evaluate(() => document.getElementById("line-text").value);
  await page.selectOption("[aria-label='First sound']", "orig");
  await page.waitForTimeout(500);
  const address = page.url();
  await page.reload();
  await page.locator("#line-text").waitFor();
  found.reloaded = await until(near(found.paused.at));
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
