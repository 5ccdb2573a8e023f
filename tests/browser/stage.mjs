// What the tests of the page's script share: the server of server.rs, Chromium, and pages in it that have the script.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

export const TRANSPORTS = ['websocket', 'event-stream', 'long-polling'];
const DEADLINE_MS = 20_000;
const CHROMIUM_ARGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

export function soon(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not in time: ${what}`)), DEADLINE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// The server, and the lines that it has printed.
export class Server {
  static async start(address = '127.0.0.1:0') {
    const server = new Server();
    server.lines = [];
    server.waiting = new Set();
    server.child = spawn(process.env.SERVER, [address], { stdio: ['ignore', 'pipe', 'inherit'] });
    server.exit = new Promise((resolve) => server.child.once('exit', resolve));
    createInterface(server.child.stdout).on('line', (line) => {
      server.lines.push(line);
      for (const look of server.waiting) look();
    });
    const [, host] = await server.line(/^listening (.*)/);
    server.host = host;
    server.url = `http://${host}`;
    return server;
  }

  // The first line that matches, from the given one on.
  line(pattern, from = 0) {
    return soon(`a line ${pattern}`, new Promise((resolve) => {
      const look = () => {
        const found = this.lines.slice(from).map((line) => pattern.exec(line)).find((match) => match);
        if (!found) return;
        this.waiting.delete(look);
        resolve(found);
      };
      this.waiting.add(look);
      look();
    }));
  }

  matching(pattern) {
    return this.lines.map((line) => pattern.exec(line)).filter((match) => match);
  }

  async publish(topic, text) {
    const answer = await fetch(`${this.url}/publish?topic=${topic}`, { method: 'POST', body: text });
    assert.equal(answer.status, 204);
  }

  async stop(signal = 'SIGTERM') {
    this.child.kill(signal);
    await soon('the server ends', this.exit);
  }
}

export async function launch(options = {}) {
  return chromium.launch({ executablePath: process.env.CHROMIUM, args: CHROMIUM_ARGS, ...options });
}

// A page of this address, whose errors are errors of the test. What it does not have yet it waits for.
export async function open(browser, url) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(DEADLINE_MS);
  page.on('pageerror', (error) => {
    console.log(`FAIL  in a page: ${error.stack}`);
    process.exit(1);
  });
  await page.addInitScript(tools);
  await page.goto(url);
  return page;
}

// In the page: `connect` keeps what comes in a list, `next` waits for what is not yet there.
function tools() {
  window.heard = [];
  const describe = (event) => {
    const { type, topic, lastEventId: id, code, reason, wasClean, willReconnect } = event;
    const data = event.data instanceof ArrayBuffer ? [...new Uint8Array(event.data)] : event.data;
    const all = { type, data, topic: topic || undefined, id: id || undefined, code, reason, wasClean, willReconnect };
    return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
  };
  window.listen = (target, types, list = window.heard) => {
    for (const type of types) target.addEventListener(type, (event) => list.push(describe(event)));
  };
  window.until = async (what, condition, ms = 18_000) => {
    for (const end = Date.now() + ms; ;) {
      const value = condition();
      if (value) return value;
      if (Date.now() > end) throw new Error(`not in time: ${what}; heard ${JSON.stringify(window.heard).slice(0, 2000)}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  window.next = async () => {
    await window.until('an event', () => window.heard.length > 0);
    return window.heard.shift();
  };
  window.connect = async (url, options) => {
    window.swio = new Swio(url, { waitMin: 100, waitMax: 400, ...options });
    swio.binaryType = 'arraybuffer';
    listen(swio, ['open', 'message', 'close', 'error', 'gap', 'named']);
    const { type } = await next();
    if (type !== 'open') throw new Error(`${type} and not open`);
  };
  window.done = async () => {
    swio.close();
    await until('the end', () => swio.readyState === Swio.CLOSED);
    heard.length = 0;
  };
}
