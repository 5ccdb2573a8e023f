// Which way the page's script takes by itself, by what the network lets through: nginx in between, set up in three ways.
// And the same to another origin, with cookies.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { launch, open, Server, soon, TRANSPORTS } from './stage.mjs';

const PROXIES = [
  {
    name: 'lets WebSockets through',
    lines: 'proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;',
    expected: 'websocket',
  },
  { name: 'knows no WebSockets', lines: '', expected: 'event-stream' },
  {
    name: 'is set up as docs/DEPLOY.md has it',
    config: readFileSync('docs/DEPLOY.md', 'utf8').match(/```nginx\n(.*?)```/s)[1],
    expected: 'websocket',
  },
  {
    name: 'knows no WebSockets and keeps back what it can',
    lines: 'proxy_ignore_headers X-Accel-Buffering; proxy_buffering on;',
    expected: 'long-polling',
  },
];

function freePort() {
  return new Promise((resolve) => {
    const socket = createServer().listen(0, '127.0.0.1', () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}

async function startNginx(directory, servers) {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((of) => `${of}_temp_path ${directory}/${of};`);
  // One process, which writes nowhere else.
  writeFileSync(join(directory, 'nginx.conf'), `
    daemon off; master_process off; pid ${directory}/pid; error_log ${directory}/error.log;
    events {}
    http {
      access_log off; client_max_body_size 4m; ${temporary.join(' ')}
      ${servers.join('\n')}
    }`);
  const nginx = spawn(process.env.PROXY, ['-p', directory, '-c', join(directory, 'nginx.conf'), '-e', `${directory}/error.log`]);
  nginx.stderr.pipe(process.stderr);
  return nginx;
}

// Until somebody listens.
async function reached(port) {
  for (;;) {
    const isThere = await new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
      socket.on('connect', () => socket.end());
    });
    if (isThere) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

// How the page comes through, and after how long; and that all that it does works.
async function trial(page, url) {
  return page.evaluate(async (url) => {
    const start = performance.now();
    await connect(url);
    const { transport } = swio;
    const opening = Math.round(performance.now() - start);
    const news = swio.subscribe('news');
    await new Promise((resolve) => { news.onsubscribed = resolve; });
    for (let n = 0; n < 30; n += 1) swio.send(n % 2 ? Uint8Array.of(n) : String(n));
    await until('all', () => heard.length === 30);
    const order = heard.splice(0).map(({ data }) => Number(data));
    const large = 'äß\n'.repeat(200_000);
    swio.send(large);
    if ((await next()).data !== large) throw new Error('not the same');
    swio.send('/publish news here');
    const { data, topic } = await next();
    swio.send('/disconnect 4000 bye');
    const { code, reason } = await next();
    return { transport, opening, order, heard: [data, topic, code, reason] };
  }, url);
}

function check(result, expected) {
  assert.equal(result.transport, expected);
  assert.deepEqual(result.order, Array.from({ length: 30 }, (_, n) => n));
  assert.deepEqual(result.heard, ['here', 'news', 4000, 'bye']);
}

const directory = mkdtempSync(join(tmpdir(), 'swio-nginx-'));
let server;
let nginx;
process.on('exit', () => {
  server?.child.kill('SIGKILL');
  nginx?.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});
server = await Server.start();
const ports = [];
const servers = [];
for (const { lines, config } of PROXIES) {
  const port = await freePort();
  ports.push(port);
  // Here, and without TLS.
  const here = config?.replace('127.0.0.1:9501', server.host).replace('443 ssl', `127.0.0.1:${port}`).replace(/^ *ssl_.*/gm, '');
  servers.push(here ?? `server { listen 127.0.0.1:${port}; location / {
    proxy_pass http://${server.host}; proxy_set_header Host $http_host; ${lines} } }`);
}
nginx = await startNginx(directory, servers);
for (const port of ports) await soon('nginx listens', reached(port));
const browser = await launch();
for (const [n, { name, expected }] of PROXIES.entries()) {
  const page = await open(browser, `http://127.0.0.1:${ports[n]}/`);
  const result = await trial(page, '/');
  check(result, expected);
  console.log(`ok    a proxy that ${name}: ${result.transport} after ${result.opening} ms`);
  await page.context().close();
}

// A cookie is the host's, whatever the port; another origin gets it where the page asks with credentials.
const other = await Server.start();
process.on('exit', () => other.child.kill('SIGKILL'));
for (const transport of TRANSPORTS) {
  const page = await open(browser, server.url);
  const from = other.lines.length;
  await page.evaluate((transport) => {
    document.cookie = 'who=ada';
    const connectBy = window.connect;
    window.connect = (url) => connectBy(url, { transports: [transport] });
  }, transport);
  check(await trial(page, other.url), transport);
  await other.line(/^open \d+ ada$/, from);
  console.log(`ok    another origin by ${transport}, with cookies`);
  await page.context().close();
}
await browser.close();
await other.stop();
await server.stop();
nginx.kill('SIGTERM');
