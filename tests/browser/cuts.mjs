// What becomes of messages when connections are cut: a proxy before the server cuts each at a random moment,
// by RST, by FIN, by RST in place of what the server says next, or by passing on nothing any more. Meanwhile numbered
// messages go both ways, and are counted. Prints the table of docs/DELIVERY.md and holds its promises.
//   node cuts.mjs [MESSAGES] [SEED]

import assert from 'node:assert/strict';
import { connect, createServer } from 'node:net';
import { launch, open, Server, TRANSPORTS } from './stage.mjs';

const MESSAGES = Number(process.argv[2] ?? 300);
const SEED = Number(process.argv[3] ?? 1);
// One message each way in so many milliseconds, and connections that live for up to so many.
const PACE_MS = 10;
const LIFE_MS = 700;
const TOPICS = ['news', 'more'];
const OPTIONS = { silenceTimeout: 400, answerTimeout: 1000, connectTimeout: 1500, waitMin: 40, waitMax: 160 };

// Mulberry32: small, and the same everywhere.
function randomOf(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

class CuttingProxy {
  static async start(port, seed) {
    const proxy = new CuttingProxy();
    proxy.random = randomOf(seed);
    proxy.cuts = { rst: 0, fin: 0, reply: 0, silence: 0 };
    proxy.isCalm = false;
    proxy.live = new Set();
    proxy.server = createServer((client) => proxy.carry(client, connect(port, '127.0.0.1')));
    await new Promise((resolve) => proxy.server.listen(0, '127.0.0.1', resolve));
    proxy.url = `http://127.0.0.1:${proxy.server.address().port}/`;
    return proxy;
  }

  carry(client, upstream) {
    const pair = [client, upstream];
    let isSilent = false;
    let isReplyLost = false;
    const end = (how) => {
      clearTimeout(timer);
      this.live.delete(end);
      for (const socket of pair) (how === 'rst' ? socket.resetAndDestroy() : socket.destroySoon());
    };
    const cut = () => {
      if (this.isCalm) return;
      const how = Object.keys(this.cuts)[Math.floor(this.random() * 4)];
      this.cuts[how] += 1;
      if (how === 'silence') isSilent = true;
      else if (how === 'reply') isReplyLost = true;
      else end(how);
    };
    const timer = setTimeout(cut, this.random() * LIFE_MS);
    this.live.add(end);
    for (const [socket, other] of [[client, upstream], [upstream, client]]) {
      socket.setNoDelay(true);
      socket.on('data', (data) => {
        if (isReplyLost && socket === upstream) end('rst');
        else if (!isSilent) other.write(data);
      });
      socket.on('error', () => {});
      // Who is silent does not tell the other side that this one has gone.
      socket.on('close', () => isSilent || end('fin'));
    }
  }

  stop() {
    this.server.close();
    for (const end of this.live) end('rst');
  }
}

// Of the numbers that came: how many never did, came again, or came behind a higher one.
function count(numbers) {
  const seen = new Set();
  let [twice, disordered, last] = [0, 0, -1];
  for (const number of numbers) {
    if (seen.has(number)) twice += 1;
    else if (number < last) disordered += 1;
    seen.add(number);
    last = Math.max(last, number);
  }
  return { lost: MESSAGES - seen.size, twice, disordered };
}

async function trial(browser, transport, seed) {
  const server = await Server.start();
  process.on('exit', () => server.child.kill('SIGKILL'));
  const proxy = await CuttingProxy.start(new URL(server.url).port, seed);
  const page = await open(browser, server.url);
  await page.evaluate(async ([url, options]) => {
    // One topic that the page subscribes to, one that the server puts it into.
    window.swio = new Swio(`${url}?join=more`, options);
    window.sessions = 0;
    window.unconfirmed = [];
    swio.onopen = () => { window.sessions += 1; };
    swio.onclose = (event) => { window.unconfirmed.push(...event.unconfirmed); };
    listen(swio, ['message', 'gap']);
    const news = swio.subscribe('news');
    await new Promise((resolve) => { news.onsubscribed = resolve; });
  }, [proxy.url, { ...OPTIONS, transports: [transport] }]);
  const sending = page.evaluate(async ([messages, pace]) => {
    for (let n = 0; n < messages; n += 1) {
      swio.send(`/note ${n}`);
      await new Promise((resolve) => setTimeout(resolve, pace));
    }
  }, [MESSAGES, PACE_MS]);
  for (let n = 0; n < MESSAGES; n += 1) {
    for (const topic of TOPICS) await server.publish(topic, String(n));
    await new Promise((resolve) => setTimeout(resolve, PACE_MS));
  }
  await sending;
  proxy.isCalm = true;
  for (const topic of TOPICS) await server.publish(topic, 'end');
  const heard = await page.evaluate(async (topics) => {
    await until('what was published', () => topics.every((topic) =>
      heard.some((event) => event.topic === topic && event.data === 'end')), 60_000);
    for (let tries = 0; tries < 1000; tries += 1) {
      await until('a session', () => swio.readyState === Swio.OPEN);
      swio.send('/note end');
      // On a connection that is silent by now it would be lost.
      await new Promise((resolve) => setTimeout(resolve, 100));
      if (tries > 30 && swio.bufferedAmount === 0) break;
    }
    return heard.filter(({ type, data }) => type === 'gap' || (type === 'message' && data !== 'end'));
  }, TOPICS);
  const [sessions, unconfirmed] = await page.evaluate(() => [window.sessions, window.unconfirmed]);
  await server.line(/^note end$/);
  const of = (topic) => heard.filter((event) => event.topic === topic).map(({ data }) => Number(data));
  const topics = TOPICS.map((topic) => count(of(topic)));
  const arrived = server.matching(/^note (\d+)$/).map(([, number]) => Number(number));
  const posted = count(arrived);
  const told = new Set([...arrived, ...unconfirmed.map((text) => Number(text.slice('/note '.length)))]);
  posted.untold = MESSAGES - [...told].filter((number) => number >= 0).length;
  const gaps = heard.filter(({ type }) => type === 'gap').length;
  proxy.stop();
  await page.context().close();
  await server.stop();
  return { transport, cuts: proxy.cuts, sessions, gaps, topics, posted };
}

const browser = await launch();
const results = await Promise.all(TRANSPORTS.map((transport, n) => trial(browser, transport, SEED + n)));
await browser.close();
console.log(`${MESSAGES} messages each way, seed ${SEED}; lost / twice / out of order`);
console.log('| transport | cuts | sessions | topic subscribed to | topic that the server joins | page to server | lost untold |');
console.log('|---|---|---|---|---|---|---|');
const show = ({ lost, twice, disordered }) => `${lost} / ${twice} / ${disordered}`;
for (const { transport, cuts, sessions, topics, posted } of results) {
  const row = [transport, Object.values(cuts).reduce((a, b) => a + b), sessions, ...[...topics, posted].map(show), posted.untold];
  console.log(`| ${row.join(' | ')} |`);
}
for (const { transport, gaps, sessions, topics, posted } of results) {
  const none = { lost: 0, twice: 0, disordered: 0 };
  assert.deepEqual(topics, [none, none], `${transport}: published messages`);
  assert.equal(gaps, 0, `${transport}: nothing was forgotten`);
  assert.deepEqual([posted.twice, posted.disordered], [0, 0], `${transport}: sent messages`);
  assert.equal(posted.untold, 0, `${transport}: lost, and not among the unconfirmed`);
  // One message at most is under way when a session ends, and nobody knows then whether it arrived.
  if (transport === 'websocket') continue;
  assert.ok(posted.lost < sessions, `${transport}: ${posted.lost} lost in ${sessions} sessions`);
}
// What the proxy cut off may have left sockets open, which would keep this process alive.
process.exit(0);
