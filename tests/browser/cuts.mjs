// Pages behind a network that cuts their connections again and again, one page for each transport: which messages are
// lost, come twice or out of order, in either direction. Prints the table of docs/DELIVERY.md and holds its promises.
//
// All pages subscribe to one topic with a history, and what a page sends the server publishes to it. One page whose
// connection is never cut is the reference: what it saw is what was published.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const TRANSPORTS = ['websocket', 'event-stream', 'long-polling'];
const MESSAGES = Number(process.env.CUTS_MESSAGES ?? 300);
const SEND_EVERY_MS = 20;
const CUT_EVERY_MS = 150;
const DEADLINE_MS = 60_000;
const CHROMIUM_ARGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

// ---- the network

// Small and seeded, so that a run can be repeated as far as a network can.
function randomOf(seed) {
  return (below) => {
    seed = Math.imul(seed ^ (seed >>> 15), 0x2c1b3c6d) + 0x9e3779b9 | 0;
    return (seed >>> 0) % below;
  };
}

// Passes bytes on, until a connection is cut: by a FIN or an RST to both sides, or by an RST in the middle of what comes next,
// from the server or from the page.
class Network {
  constructor(server, seed) {
    this.random = randomOf(seed);
    this.lines = new Set();
    this.cuts = 0;
    this.proxy = net.createServer((near) => this.connect(near, net.connect(server, '127.0.0.1')));
  }

  async listen() {
    await new Promise((resolve) => this.proxy.listen(0, '127.0.0.1', resolve));
    return this.proxy.address().port;
  }

  connect(near, far) {
    const line = { near, far, cutting: null };
    this.lines.add(line);
    const end = () => {
      this.lines.delete(line);
      near.destroy();
      far.destroy();
    };
    for (const [from, to] of [[near, far], [far, near]]) {
      from.setNoDelay(true);
      from.on('error', end);
      from.on('close', end);
      from.on('data', (bytes) => {
        if (line.cutting !== from) return to.write(bytes);
        to.write(bytes.subarray(0, this.random(bytes.length)), () => this.reset(line));
      });
    }
  }

  reset({ near, far }) {
    near.resetAndDestroy();
    far.resetAndDestroy();
  }

  cut() {
    const lines = [...this.lines].filter((line) => !line.cutting);
    if (lines.length === 0) return;
    const line = lines[this.random(lines.length)];
    this.cuts += 1;
    switch (this.random(4)) {
      case 0:
        line.near.end();
        line.far.end();
        break;
      case 1:
        this.reset(line);
        break;
      case 2:
        line.cutting = line.near;
        break;
      default:
        line.cutting = line.far;
    }
  }

  close() {
    this.proxy.close();
    for (const line of this.lines) this.reset(line);
  }
}

// ---- the pages

async function open(browser, port, transport) {
  const page = await browser.newPage();
  page.setDefaultTimeout(DEADLINE_MS);
  await page.goto(`http://127.0.0.1:${port}/`);
  await page.evaluate((transport) => {
    window.seen = [];
    window.gaps = 0;
    window.opened = 0;
    window.link = new Swio('/', { transports: [transport], waitMin: 50, waitMax: 400 });
    link.onopen = () => { opened += 1; };
    const room = link.subscribe('room');
    room.onmessage = ({ data }) => { seen.push(data); };
    room.ongap = () => { gaps += 1; };
    return new Promise((resolve) => { room.onsubscribed = resolve; });
  }, transport);
  return page;
}

const send = (page, name) => page.evaluate(async ([name, messages, every]) => {
  for (let number = 0; number < messages; number += 1) {
    link.send(`${name} ${number}`);
    await new Promise((resolve) => { setTimeout(resolve, every); });
  }
}, [name, MESSAGES, SEND_EVERY_MS]);

async function until(what, holds) {
  const late = Date.now() + DEADLINE_MS;
  while (!await holds()) {
    if (Date.now() > late) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}

// How often each of these should have come, and did.
function judge(seen, name) {
  const said = new RegExp(`^\\d+: ${name} (\\d+)$`);
  const numbers = seen.map((text) => said.exec(text)).filter(Boolean).map(([, number]) => Number(number));
  const different = new Set(numbers);
  return {
    lost: MESSAGES - different.size,
    twice: numbers.length - different.size,
    disorder: numbers.filter((number, index) => index > 0 && number < numbers[index - 1]).length,
  };
}

// ---- the run

async function startServer() {
  const child = spawn(process.env.PAGE, ['--listen', '127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const line = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)));
  });
  return { child, port: Number(/127\.0\.0\.1:(\d+)/.exec(line)[1]) };
}

const server = await startServer();
process.on('exit', () => server.child.kill('SIGKILL'));
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: CHROMIUM_ARGS });
const reference = await open(browser, server.port, 'websocket');
const rows = [];
for (const [index, transport] of TRANSPORTS.entries()) {
  const network = new Network(server.port, index + 1);
  const page = await open(browser, await network.listen(), transport);
  await reference.evaluate(() => { window.seen.length = 0; });
  const [mine, theirs] = [`page by ${transport}`, `reference to ${transport}`];
  const cutting = setInterval(() => network.cut(), CUT_EVERY_MS);
  await Promise.all([send(page, mine), send(reference, theirs)]);
  clearInterval(cutting);

  const last = `last by ${transport}`;
  await page.evaluate((last) => link.send(last), last);
  for (const one of [reference, page]) {
    await until(`${transport}: the last message is there`, () => one.evaluate((last) => seen.some((text) => text.endsWith(last)), last));
  }
  const [published, { seen, gaps, opened }] = await Promise.all([
    reference.evaluate(() => seen), page.evaluate(() => ({ seen, gaps, opened })),
  ]);
  rows.push({
    transport,
    cuts: network.cuts,
    sessions: opened,
    gaps,
    toPage: judge(seen, theirs),
    toServer: judge(published, mine),
    isWhole: JSON.stringify(seen) === JSON.stringify(published),
  });
  await page.close();
  network.close();
}
await browser.close();

const cell = ({ lost, twice, disorder }) => `${lost} lost, ${twice} twice, ${disorder} out of order`;
console.log(`| transport | cuts | sessions | server to page, ${MESSAGES} messages | page to server, ${MESSAGES} messages |`);
console.log('|---|---|---|---|---|');
for (const { transport, cuts, sessions, toPage, toServer } of rows) {
  console.log(`| ${transport} | ${cuts} | ${sessions} | ${cell(toPage)} | ${cell(toServer)} |`);
}
const none = { lost: 0, twice: 0, disorder: 0 };
for (const { transport, cuts, gaps, toPage, toServer, isWhole } of rows) {
  assert(cuts > 10, `${transport}: only ${cuts} cuts`);
  assert.equal(gaps, 0, `${transport}: a gap, though the history is long enough`);
  assert.deepEqual(toPage, none, transport);
  assert(isWhole, `${transport}: the page saw something else than was published`);
  assert.equal(toServer.twice + toServer.disorder, 0, transport);
  if (transport === 'long-polling') assert.equal(toServer.lost, 0, transport);
}
console.log(`cuts: ${rows.length} transports passed`);
process.exit(0);
