// Event streams as their real clients read them: Chromium's EventSource, the npm package of that name, curl, and
// Python's aiohttp and httpx (streams.py). The server is the sse example. Each waits for an event, with a deadline.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { EventSource } from 'eventsource';
import { chromium } from 'playwright-core';

const DEADLINE_MS = 15_000;
// A CR and a CRLF are line breaks to readers of event streams; they hand them on as LF.
const TEXT = ' two\nlines, \u{1f600} and\r\n\rdata: x\n';
const SEEN = TEXT.replaceAll('\r\n', '\n').replaceAll('\r', '\n');

let server;
let url;

async function startServer(address) {
  server = spawn(process.env.SSE, ['--listen', address], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: server.stdout });
  const [line] = await soon('the server listens', new Promise((resolve) => lines.once('line', (line) => resolve([line]))));
  url = line.match(/http:\/\/[^/]+/)[0];
}

async function stopServer() {
  const gone = new Promise((resolve) => server.once('exit', resolve));
  server.kill();
  await soon('the server ends', gone);
}

function soon(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not in time: ${what}`)), DEADLINE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// What a stream brings, to be taken one by one.
class Inbox {
  constructor(stream) {
    this.seen = [];
    this.wake = () => {};
    for (const name of ['swio', 'said', 'gap', 'close']) {
      stream.addEventListener(name, (event) => {
        this.seen.push([name, event.data]);
        this.wake();
      });
    }
  }

  async next() {
    while (this.seen.length === 0) {
      await soon('an event', new Promise((resolve) => { this.wake = resolve; }));
    }
    return this.seen.shift();
  }
}

const tokenOf = ([name, data]) => {
  assert.equal(name, 'swio');
  return JSON.parse(data).session;
};

async function say(session, body) {
  const answer = await fetch(`${url}/?swio=send&session=${session}`, { method: 'POST', body });
  assert.equal(answer.status, 204);
}

async function npmClient() {
  const stream = new EventSource(`${url}/?swio=stream`);
  const inbox = new Inbox(stream);
  const session = tokenOf(await inbox.next());
  await say(session, TEXT);
  const [name, data] = await inbox.next();
  assert.equal(name, 'said');
  assert.ok(data.endsWith(`: ${SEEN}`), JSON.stringify(data));
  // A server that goes says so; the client comes back to the next, which has another history.
  await stopServer();
  const [closed, why] = await inbox.next();
  assert.deepEqual([closed, JSON.parse(why).code], ['close', 1001]);
  await startServer(new URL(url).host);
  tokenOf(await inbox.next());
  assert.deepEqual(await inbox.next(), ['gap', 'room']);
  stream.close();
}

async function chromiumClient() {
  const args = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'];
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args });
  const page = await browser.newPage();
  page.setDefaultTimeout(DEADLINE_MS);
  await page.goto(url);
  await page.waitForFunction('session !== undefined');
  await page.locator('#line').fill('from a page');
  await page.locator('#line').press('Enter');
  await page.locator('#chat', { hasText: ': from a page' }).waitFor();
  await page.evaluate((body) => say(body), TEXT);
  await page.waitForFunction((text) => chat.textContent.endsWith(`: ${text}\n`), SEEN);
  await browser.close();
}

async function curlClient() {
  const speaker = new EventSource(`${url}/?swio=stream`);
  const inbox = new Inbox(speaker);
  const session = tokenOf(await inbox.next());
  const curl = spawn('curl', ['-sNi', '-H', 'Accept: text/event-stream', `${url}/`]);
  let output = '';
  const heard = new Promise((resolve) => {
    curl.stdout.on('data', (data) => {
      // Whoever speaks before curl is there is not heard by it.
      if (output === '') say(session, 'to curl');
      output += data;
      if (output.includes('to curl')) resolve();
    });
  });
  await soon('curl hears', heard);
  assert.match(output, /^HTTP\/1\.1 200 OK\r\nContent-Type: text\/event-stream\r\n/);
  // Its position first, with which it could come back though nothing was said until then.
  const position = /id: @[0-9a-z]+-\d+\n/.source;
  const event = /event: said\nid: [0-9a-z]+\.\d+-\d+@[0-9a-z]+-\d+\ndata: \d+: to curl\n\n/.source;
  assert.match(output, new RegExp(`\r\n\r\nretry: 3000\n\n${position}\n${event}$`));
  curl.kill();
  speaker.close();
}

async function pythonClients() {
  const script = join(dirname(fileURLToPath(import.meta.url)), 'streams.py');
  const python = spawn(process.env.PYTHON, [script, url], { stdio: 'inherit' });
  const [code] = await soon('Python ends', new Promise((resolve) => python.once('exit', (...ended) => resolve(ended))));
  assert.equal(code, 0);
}

await startServer('127.0.0.1:0');
try {
  for (const client of [npmClient, chromiumClient, curlClient, pythonClients]) {
    await client();
    console.log(`ok: ${client.name}`);
  }
} finally {
  server.kill();
}
