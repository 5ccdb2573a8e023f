// Drives the chat example as its users do: several people in separate browsers, each on another transport, a server that
// dies and comes back.
// The names of elements that this relies on are listed at the top of examples/chat/index.html.
// One story, each test going on where the one before it stopped; so the first failure ends it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const OUT = dirname(fileURLToPath(import.meta.url));
const DEADLINE_MS = 15_000;
// A page that has tried in vain a few times waits longer before each new try.
const RECONNECT_DEADLINE_MS = 60_000;
const DESKTOP = { viewport: { width: 1280, height: 800 } };
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };
const CHROMIUM_ARGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];
const TRANSPORTS = { websocket: 'WebSocket', 'event-stream': 'event stream', 'long-polling': 'long polling' };
const MARKUP = '<img src=x onerror=window.pwned=1><b>x</b>';

let server;
let serverHasDied = false;
let browser;
let passed = 0;
let current = 'start';
const people = [];
const complaints = [];

async function story() {
  server = await startServer(0);
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: CHROMIUM_ARGS });
  const ada = await arrive('Ada', DESKTOP);
  const bert = await arrive('Bert', DESKTOP, 'event-stream');
  let chloe;

  await test('each is told which transport is in use', async () => {
    await connectedBy(ada, 'websocket');
    await connectedBy(bert, 'event-stream');
  });

  await test('two people see each other in the list', async () => {
    for (const person of [ada, bert]) {
      await sees(person, `#people li[data-name="${person.nick}"].own`);
      assert.equal(await person.page.locator('#people li').count(), 2);
    }
    await sees(ada, '#people li[data-name="Bert"]:not(.own)');
    await sees(bert, '#people li[data-name="Ada"]:not(.own)');
  });

  await test('what one says the other reads, both ways', async () => {
    await say(ada, 'Good morning! Is the new server up?');
    await reads(bert, 'Ada', 'Good morning! Is the new server up?');
    await say(bert, 'Since eight, and it is quick.');
    await reads(ada, 'Bert', 'Since eight, and it is quick.');
  });

  await test('typing shows at the other, and stops with the message', async () => {
    await bert.page.locator('#input').pressSequentially('It even shows');
    await ada.page.locator('#typing', { hasText: 'Bert is typing' }).waitFor();
    await say(bert, 'It even shows when I type.');
    await reads(ada, 'Bert', 'It even shows when I type.');
    await ada.page.locator('#typing', { hasText: /^$/ }).waitFor({ state: 'attached' });
    assert.equal(await bert.page.locator('#typing').innerText(), '', 'nobody is told of their own typing');
  });

  await test('markup is plain text and runs nothing', async () => {
    await say(ada, MARKUP);
    for (const person of [ada, bert]) {
      const text = await reads(person, 'Ada', MARKUP);
      assert.equal(await text.textContent(), MARKUP);
      assert.equal(await person.page.locator('#log img, #log b').count(), 0);
      assert.equal(await person.page.evaluate(() => window.pwned), undefined);
    }
  });

  await test('who comes late reads what was said before, in order', async () => {
    chloe = await arrive('Chloe', DESKTOP, 'long-polling');
    await connectedBy(chloe, 'long-polling');
    await reads(chloe, 'Ada', MARKUP);
    assert.deepEqual(await chloe.page.locator('#log .message .text').allTextContents(), [
      'Good morning! Is the new server up?', 'Since eight, and it is quick.', 'It even shows when I type.', MARKUP,
    ]);
    assert.equal(await chloe.page.evaluate(() => window.pwned), undefined);
    await sees(ada, '#people li[data-name="Chloe"]');
  });

  await test('rooms are separate', async () => {
    await chloe.page.locator('#room').fill('attic');
    await chloe.page.locator('#room-go').click();
    await sees(chloe, '#log[data-room="attic"]');
    await sees(ada, '#rooms li[data-room="attic"]');
    await gone(ada, '#people li[data-name="Chloe"]');
    assert.equal(await chloe.page.locator('#people li').count(), 1);

    // Once each has seen their own words come back from the server, anything sent before them would be there too.
    await say(ada, 'Only the lobby hears this.');
    await reads(bert, 'Ada', 'Only the lobby hears this.');
    await say(chloe, 'Only the attic hears this.');
    await say(ada, 'Chloe is upstairs.');
    assert.equal(await chloe.page.locator('#log .message').count(), 1);
    assert.equal(await ada.page.locator('#log .message', { hasText: 'attic hears' }).count(), 0);

    await chloe.page.locator('#rooms li[data-room="lobby"] a').click();
    await reads(chloe, 'Ada', 'Chloe is upstairs.');
    await sees(ada, '#people li[data-name="Chloe"]');
  });

  await test('a reload keeps name and history, and goes on talking', async () => {
    for (const [person, other] of [[ada, bert], [bert, chloe], [chloe, ada]]) {
      await person.page.reload();
      await online(person);
      await reads(person, 'Ada', 'Chloe is upstairs.');
      await say(person, `${person.nick} has reloaded the page.`);
      await reads(other, person.nick, `${person.nick} has reloaded the page.`);
      assert.equal(await other.page.locator(`#people li[data-name="${person.nick}"]`).count(), 1);
    }
  });

  await test('the transport is switched in the page, and nothing is lost or there twice', async () => {
    for (const transport of ['long-polling', 'event-stream', 'websocket', '']) {
      await ada.page.locator('#transport').selectOption(transport);
      await connectedBy(ada, transport || 'websocket');
      const [told, heard] = [`Ada by ${transport || 'any way'}.`, `Bert to Ada by ${transport || 'any way'}.`];
      await say(ada, told);
      for (const person of [bert, chloe]) await reads(person, 'Ada', told);
      await say(bert, heard);
      await reads(ada, 'Bert', heard);
    }
    const [first, ...others] = await Promise.all(people.map(({ page }) => page.locator('#log .message .text').allTextContents()));
    for (const texts of others) assert.deepEqual(texts, first);
    assert.equal(new Set(first).size, first.length);
  });

  await test('desktop and phone, light and dark, nothing wider than the phone', async () => {
    const grace = await arrive('Grace', PHONE);
    await say(grace, `From my phone, one long word: ${'swio'.repeat(100)}`);
    await say(bert, 'Fits.');
    for (const person of [ada, grace]) await reads(person, 'Bert', 'Fits.');
    for (const [device, { page }] of [['desktop', ada], ['phone', grace]]) {
      const brightness = {};
      for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme });
        await screenshot(page, `${device}-${colorScheme}`);
        brightness[colorScheme] = await page.evaluate(backgroundBrightness);
      }
      assert(brightness.light > 200 && brightness.dark < 80, `${device} backgrounds: ${JSON.stringify(brightness)}`);
    }
    await fits(grace);
    await grace.page.locator('#menu').click();
    await grace.page.locator('#people li[data-name="Ada"]').waitFor();
    await screenshot(grace.page, 'phone-dark-menu');
    await fits(grace);
    await grace.context.close();
    people.pop();
    await gone(ada, '#people li[data-name="Grace"]');
  });

  await test('a dead server: the pages say that they are reconnecting', async () => {
    for (const { page } of people) await page.evaluate(() => { window.notReloaded = true; });
    await stopServer('SIGKILL');
    for (const person of people) {
      await sees(person, '#banner', RECONNECT_DEADLINE_MS);
      assert.match(await person.page.locator('#banner').innerText(), /reconnect|again/i);
    }
    await screenshot(ada.page, 'desktop-reconnecting');
  });

  await test('the server is back: so are all, by themselves, and talk', async () => {
    server = await startServer(server.port);
    for (const person of people) {
      await online(person, RECONNECT_DEADLINE_MS);
      await gone(person, '#banner');
    }
    await connectedBy(ada, 'websocket');
    await connectedBy(bert, 'event-stream');
    await connectedBy(chloe, 'long-polling');
    for (const person of people) {
      for (const other of people) await sees(person, `#people li[data-name="${other.nick}"]`);
    }
    await say(ada, 'Are you back too?');
    await reads(bert, 'Ada', 'Are you back too?');
    await say(bert, 'I never left.');
    await reads(ada, 'Bert', 'I never left.');
    for (const { page } of people) assert.equal(await page.evaluate(() => window.notReloaded), true);
  });

  await test('no errors in the console, no request to anybody else', async () => {
    assert.deepEqual(complaints, []);
  });
}

async function test(name, body) {
  current = name;
  await body();
  passed += 1;
  console.log(`ok    ${name}`);
}

// Starts the example and waits for the line that names its real address.
async function startServer(port) {
  const child = spawn(process.env.CHAT, ['--listen', `127.0.0.1:${port}`], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stderr.pipe(createWriteStream(join(OUT, 'chat.log'), { flags: 'a' }));
  const exit = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(signal ?? code));
  });
  const listening = new Promise((resolve) => {
    createInterface(child.stdout).on('line', (line) => {
      const address = /127\.0\.0\.1:(\d+)/.exec(line);
      if (address) resolve(Number(address[1]));
    });
  });
  const died = exit.then((status) => { throw new Error(`the chat example ended with ${status}, see chat.log`); });
  died.catch(() => {});
  const realPort = await deadline(Promise.race([listening, died]), 'the chat example to listen');
  return { child, exit, port: realPort };
}

async function stopServer(signal) {
  serverHasDied = true;
  server.child.kill(signal);
  await deadline(server.exit, 'the chat example to end');
}

async function deadline(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), DEADLINE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// A new person: a browser context of their own shares no cookies or storage with the others.
async function arrive(nick, device, transport) {
  const context = await browser.newContext(device);
  context.setDefaultTimeout(DEADLINE_MS);
  const page = await context.newPage();
  const person = { nick, context, page };
  people.push(person);
  watch(person);
  await page.goto(`http://127.0.0.1:${server.port}/`);
  if (transport) {
    await page.evaluate((value) => localStorage.setItem('chat.transport', value), transport);
    await page.reload();
  }
  await page.locator('#welcome[open] #nick').fill(nick);
  await page.locator('#join').click();
  await online(person);
  return person;
}

// Whatever goes wrong without being seen on the page.
function watch({ nick, page }) {
  page.on('pageerror', (error) => complaints.push(`${nick}: ${error}`));
  page.on('console', (message) => {
    const expected = serverHasDied && /^(WebSocket connection to .* failed|Failed to load resource: net::ERR_)/.test(message.text());
    if (message.type() === 'error' && !expected) complaints.push(`${nick}: ${message.text()}`);
  });
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.protocol !== 'data:' && url.host !== `127.0.0.1:${server.port}`) complaints.push(`${nick}: asked for ${url}`);
  });
}

async function online(person, timeout = DEADLINE_MS) {
  await sees(person, '#status[data-state="online"]', timeout);
  // On a phone this is in the drawer, there but not in sight.
  await person.page.locator('#me', { hasText: person.nick }).waitFor({ state: 'attached' });
  await gone(person, '#welcome[open]');
}

async function connectedBy(person, transport) {
  await sees(person, `#status[data-transport="${transport}"]`);
  assert.equal(await person.page.locator('#status').innerText(), `Connected by ${TRANSPORTS[transport]}`);
}

const sees = ({ page }, selector, timeout = DEADLINE_MS) => page.locator(selector).waitFor({ timeout });

const gone = ({ page }, selector) => page.locator(selector).waitFor({ state: 'hidden' });

// Says it and waits until the server has confirmed it.
async function say(person, text) {
  await person.page.locator('#input').fill(text);
  await person.page.locator('#send').click();
  await reads(person, person.nick, text);
}

async function reads({ page }, author, text) {
  const found = page.locator(`#log .message[data-author="${author}"]:not(.pending, .failed) .text`, { hasText: text });
  await found.waitFor();
  return found;
}

async function fits({ page }) {
  const width = await page.evaluate(() => Math.max(document.documentElement.scrollWidth, document.body.scrollWidth));
  assert(width <= PHONE.viewport.width, `the page is ${width} wide on a phone`);
}

const screenshot = (page, name) => page.screenshot({ path: join(OUT, `${name}.png`), animations: 'disabled' });

// 0 to 255, of what the messages stand on. Runs in the page; the canvas reads every way to write a colour.
function backgroundBrightness() {
  const context = document.createElement('canvas').getContext('2d');
  for (let element = document.querySelector('#log'); element; element = element.parentElement) {
    context.fillStyle = getComputedStyle(element).backgroundColor;
    context.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = context.getImageData(0, 0, 1, 1).data;
    if (alpha === 255) return Math.round((red + green + blue) / 3);
  }
  return undefined;
}

process.on('exit', () => server?.child.kill('SIGKILL'));
let failed = 0;
try {
  await story();
} catch (error) {
  failed = 1;
  console.log(`FAIL  ${current}\n${error.stack}`);
  for (const { nick, page } of people) await screenshot(page, `failed-${nick}`).catch(() => {});
  if (complaints.length) console.log(complaints.join('\n'));
}
await browser?.close();
console.log(`browser: ${passed} passed, ${failed} failed`);
process.exit(failed);
