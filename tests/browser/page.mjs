// The page's script in Chromium, each transport forced in turn: the same suite for each.

import assert from 'node:assert/strict';
import { launch, open, Server, TRANSPORTS } from './stage.mjs';

const TEXTS = ['hello', '', '\n', 'a\r\nb\rc\n', ' two\n\nlines ', 'data: x\n\nid: 7', '{"text":"x"}', '\u{1f600} ü \0 \u{feff}', '&=%+'];

let server;
let browser;
let passed = 0;

const TESTS = {
  async 'says what it is, and opens'(page, transport) {
    const seen = await page.evaluate(() => {
      const { url, protocol, readyState, binaryType, bufferedAmount, transport } = swio;
      return { url, protocol, readyState, binaryType, bufferedAmount, transport, OPEN: Swio.OPEN, own: swio.CLOSED };
    });
    const url = server.url.replace('http', 'ws');
    assert.deepEqual(seen, {
      url: `${url}/`, protocol: 'swio.1', readyState: 1, binaryType: 'arraybuffer', bufferedAmount: 0, transport, OPEN: 1,
      own: 3,
    });
  },

  async 'messages come back as they were, texts, bytes and large ones'(page) {
    await page.evaluate(async (texts) => {
      const message = (data) => JSON.stringify({ type: 'message', data });
      const equal = async (expected) => {
        const seen = JSON.stringify(await next());
        if (seen !== message(expected)) throw new Error(`${seen.slice(0, 300)} and not ${message(expected).slice(0, 300)}`);
      };
      for (const text of texts) {
        swio.send(text);
        await equal(text);
      }
      const bytes = Array.from({ length: 256 }, (_, byte) => byte);
      for (const data of [[], [10], [13, 10, 0], bytes]) {
        const array = Uint8Array.from(data);
        for (const form of [array, array.buffer, new Blob([array]), new DataView(array.buffer)]) {
          swio.send(form);
          array.fill(7);
          await equal(data);
          array.set(data);
        }
      }
      const large = 'äß\n\u{1f600}'.repeat(80_000);
      swio.send(large);
      await equal(large);
      swio.binaryType = 'blob';
      const coming = new Promise((resolve) => { swio.onmessage = resolve; });
      swio.send(Uint8Array.from(bytes));
      const { data } = await coming;
      const back = [...new Uint8Array(await data.arrayBuffer())];
      if (JSON.stringify(back) !== JSON.stringify(bytes)) throw new Error(`a blob of ${back}`);
    }, TEXTS);
  },

  async 'a message that the line is too slow for does not hold up those behind it'(page, transport) {
    if (transport === 'websocket') return;
    let late = 0;
    await page.route(/swio=send/, (route) => {
      if ((route.request().postData() ?? '').length < 5_000) return route.continue();
      late += 1;
      return route.fulfill({ status: 408 });
    });
    await page.evaluate(async () => {
      swio.send('x'.repeat(5_000));
      swio.send('behind it');
      await until('the one behind it', () => heard.some(({ data }) => data === 'behind it'));
      const types = heard.map(({ type, code, data }) => code ?? data ?? type).join();
      if (types !== 'error,1006,open,behind it') throw new Error(types);
    });
    assert.equal(late, 3);
  },

  async '200 messages of both kinds keep their order'(page) {
    const seen = await page.evaluate(async () => {
      for (let n = 0; n < 200; n += 1) swio.send(n % 2 ? Uint8Array.of(n) : String(n));
      await until('all', () => heard.length === 200);
      return heard.map(({ data }) => Number(data));
    });
    assert.deepEqual(seen, Array.from({ length: 200 }, (_, n) => n));
  },

  async 'what has arrived is not in doubt, and what was never sent is given back at the end'(page) {
    const seen = await page.evaluate(async (url) => {
      const closed = (swio) => new Promise((resolve) => { swio.onclose = ({ unconfirmed }) => resolve(unconfirmed); });
      swio.send('one');
      swio.send('two');
      await until('both', () => heard.length === 2);
      // A WebSocket asks once a second.
      await new Promise((resolve) => setTimeout(resolve, 1500));
      const lost = closed(swio);
      swio.reconnect();
      const arrived = await lost;
      const never = new Swio(url);
      never.send('three');
      never.send(Uint8Array.of(4));
      const over = closed(never);
      never.close();
      const [text, bytes] = await over;
      await until('a session', () => swio.readyState === Swio.OPEN);
      swio.send('five');
      const ended = closed(swio);
      swio.close();
      return [arrived, [text, bytes.size], await ended];
    }, server.url);
    assert.deepEqual(seen, [[], ['three', 1], []]);
  },

  async 'events have names'(page) {
    assert.deepEqual(await page.evaluate(() => { swio.send('/event named some text'); return next(); }), {
      type: 'named', data: 'some text',
    });
    // Not one that the page takes for something else.
    assert.deepEqual(await page.evaluate(() => { swio.send('/event close some text'); return next(); }), {
      type: 'message', data: 'some text',
    });
  },

  async 'messages may have an id of the application, empty ones too'(page) {
    const seen = await page.evaluate(async () => {
      swio.send('/id k3-17 text');
      swio.send('/id k3-18 ');
      return [await next(), await next()];
    });
    assert.deepEqual(seen, [
      { type: 'message', data: 'text', id: 'k3-17' },
      { type: 'message', data: '', id: 'k3-18' },
    ]);
  },

  async 'topics: subscribed, heard, denied, left'(page) {
    const from = server.lines.length;
    const steps = await page.evaluate(async () => {
      const news = swio.subscribe('news');
      const again = swio.subscribe('news') === news;
      const own = [];
      listen(news, ['subscribed', 'message', 'denied', 'gap'], own);
      const states = [news.state];
      await until('subscribed', () => own.length > 0);
      states.push(news.state);
      swio.send('/publish news one');
      swio.send('/publish news two');
      await until('two messages', () => own.length === 3);
      const secret = swio.subscribe('secret');
      const reason = await new Promise((resolve) => { secret.ondenied = (event) => resolve(event.reason); });
      states.push(secret.state);
      news.unsubscribe();
      states.push(news.state);
      swio.send('/publish news three');
      swio.send('the end');
      await until('the end', () => heard.some(({ data }) => data === 'the end'));
      return { own, again, reason, states, heard };
    });
    const ids = steps.own.map(({ id }) => id);
    assert.ok(ids[1] && ids[2] && ids[1] !== ids[2], ids);
    const messages = ['one', 'two'].map((data, n) => ({ type: 'message', data, topic: 'news', id: ids[n + 1] }));
    assert.deepEqual(steps.own, [{ type: 'subscribed', topic: 'news', data: '' }, ...messages]);
    assert.deepEqual(steps.heard, [...messages, { type: 'message', data: 'the end' }]);
    assert.deepEqual([steps.again, steps.reason], [true, 'not allowed']);
    assert.deepEqual(steps.states, ['pending', 'subscribed', 'denied', 'unsubscribed']);
    assert.equal(server.lines.slice(from).length, 0);
  },

  async 'who comes back gets what was published meanwhile, once'(page) {
    const topics = ['news', 'more'];
    await page.evaluate(async () => {
      for (const topic of ['news', 'more']) {
        const subscription = swio.subscribe(topic);
        await new Promise((resolve) => { subscription.onsubscribed = resolve; });
      }
      swio.send('/publish news before');
      await next();
      // Comes back when it is told to.
      swio._options.waitMin = swio._options.waitMax = 1e9;
      swio._transport.drop();
      swio._lost(1006, '', false);
    });
    for (let n = 0; n < 20; n += 1) await server.publish(topics[n % 2], `missed ${n}`);
    const seen = await page.evaluate(async () => {
      swio.reconnect();
      await until('all', () => heard.filter(({ data }) => data?.startsWith('missed')).length === 20);
      swio.send('the end');
      await until('the end', () => heard.some(({ data }) => data === 'the end'));
      return heard;
    });
    const types = seen.map(({ type }) => type).filter((type) => type !== 'message');
    assert.deepEqual(types, ['error', 'close', 'error', 'close', 'open'].slice(-types.length));
    for (const topic of topics) {
      const expected = Array.from({ length: 20 }, (_, n) => n).filter((n) => topics[n % 2] === topic);
      const missed = seen.filter((event) => event.topic === topic).map(({ data }) => data);
      assert.deepEqual(missed, expected.map((n) => `missed ${n}`));
    }
  },

  async 'what the server joins it to comes back too'(page, transport) {
    await page.evaluate(async (transport) => {
      await done();
      await connect('/?join=more', { transports: [transport] });
      swio.send('/publish more seen');
      await until('it', () => heard.some(({ data }) => data === 'seen'));
      heard.length = 0;
      swio._options.waitMin = swio._options.waitMax = 1e9;
      swio._lost(1006, '', false);
    }, transport);
    await server.publish('more', 'missed');
    assert.deepEqual(await page.evaluate(async () => {
      swio.reconnect();
      await until('it', () => heard.some(({ data }) => data === 'missed'));
      swio.send('the end');
      await until('the end', () => heard.some(({ data }) => data === 'the end'));
      return heard.filter(({ type }) => type === 'message').map(({ data }) => data);
    }), ['missed', 'the end']);
  },

  async 'a topic that both the server and the page join it to comes back once'(page, transport) {
    await page.evaluate(async (transport) => {
      await done();
      await connect('/?join=more', { transports: [transport] });
      swio.send('/publish more seen');
      await until('it', () => heard.some(({ data }) => data === 'seen'));
      const more = swio.subscribe('more');
      if (more.lastEventId === '') throw new Error('it goes on where the page is in it already');
      await new Promise((resolve) => { more.onsubscribed = resolve; });
      heard.length = 0;
      swio._options.waitMin = swio._options.waitMax = 1e9;
      swio._lost(1006, '', false);
    }, transport);
    await server.publish('more', 'missed');
    assert.deepEqual(await page.evaluate(async () => {
      swio.reconnect();
      await until('it', () => heard.some(({ data }) => data === 'missed'));
      swio.send('the end');
      await until('the end', () => heard.some(({ data }) => data === 'the end'));
      return heard.filter(({ type }) => type === 'message' || type === 'gap').map(({ data }) => data);
    }), ['missed', 'the end']);
  },

  async 'a position that the server can not be told is a gap, and nothing comes twice'(page, transport) {
    await page.evaluate(async (transport) => {
      await done();
      await connect('/?join=more', { transports: [transport] });
      swio.send('/publish more seen');
      await until('it', () => heard.some(({ data }) => data === 'seen'));
      heard.length = 0;
      swio._options.waitMin = swio._options.waitMax = 1e9;
      swio._lost(1006, '', false);
      // Heard of later, in more than a request has room for.
      for (let n = 0; n < 100; n += 1) swio._advance(`t${n}`, 'other.1-1');
    }, transport);
    await server.publish('more', 'missed');
    assert.deepEqual(await page.evaluate(async () => {
      swio.reconnect();
      await until('it', () => heard.some(({ data }) => data === 'missed'));
      swio.send('the end');
      await until('the end', () => heard.some(({ data }) => data === 'the end'));
      return heard.filter(({ type }) => type === 'message' || type === 'gap').map(({ type, data }) => data ?? type);
    }), ['gap', 'missed', 'the end']);
    // So it is where not one has room.
    await page.evaluate(async () => {
      swio._lost(1006, '', false);
      heard.length = 0;
      const id = swio._positions.get('more');
      swio._positions.clear();
      swio._advance('ü'.repeat(500), id);
      swio.reconnect();
      await until('a gap', () => heard.some(({ type }) => type === 'gap'));
    });
  },

  async 'a gap is told'(page) {
    await page.evaluate(async () => {
      const short = swio.subscribe('short');
      await new Promise((resolve) => { short.onsubscribed = resolve; });
      swio.send('/publish short seen');
      await next();
      swio._options.waitMin = swio._options.waitMax = 1e9;
      swio._lost(1006, '', false);
      heard.length = 0;
    });
    for (let n = 0; n < 5; n += 1) await server.publish('short', `missed ${n}`);
    assert.deepEqual(await page.evaluate(async () => {
      const own = [];
      listen(swio.subscribe('short'), ['subscribed', 'message', 'gap'], own);
      swio.reconnect();
      await until('subscribed', () => own.some(({ type }) => type === 'subscribed'));
      return own.map(({ type, data }) => data || type);
    }), ['gap', 'missed 2', 'missed 3', 'missed 4', 'subscribed']);
    assert.ok(await page.evaluate(() => heard.some(({ type, topic }) => type === 'gap' && topic === 'short')));
  },

  async 'the page closes, behind all that it has sent'(page) {
    const from = server.lines.length;
    const seen = await page.evaluate(async () => {
      for (let n = 0; n < 5; n += 1) swio.send(`/note last${n}`);
      swio.close(4001, 'that was ü it');
      const state = swio.readyState;
      const closed = await next();
      return { state, closed, after: swio.readyState, transport: swio.transport, more: heard.length };
    });
    // The server answers with the code alone.
    const closed = { type: 'close', code: 4001, reason: '', wasClean: true, willReconnect: false };
    assert.deepEqual(seen, { state: 2, closed, after: 3, transport: null, more: 0 });
    await server.line(/^close \d+ 4001 Peer that was ü it$/, from);
    const notes = server.lines.slice(from).filter((line) => line.startsWith('note'));
    assert.deepEqual(notes, [0, 1, 2, 3, 4].map((n) => `note last${n}`));
  },

  async 'the server closes: for good by 4000 and 1008, for now by 1001'(page) {
    const from = server.lines.length;
    const seen = await page.evaluate(async () => {
      swio.send('/disconnect 1001 soon "back"');
      const first = [await next(), await next()];
      swio.send('/disconnect 4000 no more');
      return [...first, await next(), swio.readyState];
    });
    assert.deepEqual(seen, [
      { type: 'close', code: 1001, reason: 'soon "back"', wasClean: true, willReconnect: true }, { type: 'open' },
      { type: 'close', code: 4000, reason: 'no more', wasClean: true, willReconnect: false }, 3,
    ]);
    await server.line(/^close \d+ 4000 Local no more$/, from);
  },

  async 'a page that is left says so, and comes back as it was'(page) {
    const from = server.lines.length;
    const [, fd] = server.matching(/^open (\d+)/).at(-1);
    await page.evaluate(async () => {
      window.isTheSame = true;
      const news = swio.subscribe('news');
      await new Promise((resolve) => { news.onsubscribed = resolve; });
    });
    await page.goto('about:blank');
    await server.line(new RegExp(`^close ${fd} 100[15] Peer`), from);
    await server.publish('news', 'while it was away');
    await page.goBack({ waitUntil: 'commit' });
    assert.equal(await page.evaluate(() => window.isTheSame), true, 'the browser did not keep the page');
    await page.evaluate(() => until('it', () => heard.some(({ data }) => data === 'while it was away')));
  },

  async 'a page that is loaded again says so'(page) {
    const from = server.lines.length;
    const [, fd] = server.matching(/^open (\d+)/).at(-1);
    await page.reload();
    await server.line(new RegExp(`^close ${fd} 100[15] Peer`), from);
  },

  async 'no network: it tries again, and at once when there is one'(page, transport) {
    await page.evaluate(async () => {
      swio._options.waitMin = swio._options.waitMax = 1e9;
      const news = swio.subscribe('news');
      await new Promise((resolve) => { news.onsubscribed = resolve; });
    });
    await page.context().setOffline(true);
    // Browsers cut no WebSocket for this.
    await page.evaluate(() => swio._lost(1006, '', false));
    await server.publish('news', 'unheard');
    assert.equal(await page.evaluate(() => swio.readyState), 0);
    await page.evaluate(() => { swio.send('queued'); heard.length = 0; });
    await page.context().setOffline(false);
    const seen = await page.evaluate(async () => {
      await until('both', () => heard.filter(({ type }) => type === 'message').length === 2);
      return heard.map(({ type, data }) => data ?? type);
    });
    assert.deepEqual(seen.slice(0, 1), ['open']);
    assert.deepEqual(seen.slice(1).sort(), ['queued', 'unheard']);
    assert.equal(await page.evaluate(() => swio.transport), transport);
  },

  async 'what waits is bounded'(page, transport) {
    const seen = await page.evaluate(async (transport) => {
      await done();
      window.swio = new Swio('/', { transports: [transport], queueBytesMax: 10 });
      swio.send('12345');
      swio.send(Uint8Array.of(6, 7, 8, 9));
      const waiting = swio.bufferedAmount;
      let error;
      try { swio.send('ü'); } catch ({ name }) { error = name; }
      swio.send('0');
      swio.binaryType = 'arraybuffer';
      listen(swio, ['message']);
      await until('three', () => heard.length === 3);
      return { waiting, error, heard: heard.map(({ data }) => data), rest: swio.bufferedAmount };
    }, transport);
    assert.deepEqual(seen, { waiting: 9, error: 'QuotaExceededError', heard: ['12345', [6, 7, 8, 9], '0'], rest: 0 });
  },

  async 'attempts run out, and a page that is told not to come back does not'(page, transport) {
    const seen = await page.evaluate(async (transport) => {
      await done();
      const all = { transports: [transport], waitMin: 1, attempts: 2 };
      window.swio = new Swio('http://127.0.0.1:1/', all);
      listen(swio, ['open', 'close']);
      await until('the last', () => heard.length === 3);
      const first = heard.splice(0).map(({ code, willReconnect }) => [code, willReconnect]);
      window.swio = new Swio('http://127.0.0.1:1/', { ...all, reconnect: () => false });
      listen(swio, ['open', 'close']);
      await until('it', () => heard.length === 1);
      return [first, heard.map(({ code, willReconnect }) => [code, willReconnect]), swio.readyState];
    }, transport);
    assert.deepEqual(seen, [[[1006, true], [1006, true], [1006, false]], [[1006, false]], 3]);
  },

  async 'a page that is refused is told the status, where browsers tell it'(page, transport) {
    const seen = await page.evaluate(async (transport) => {
      await done();
      window.swio = new Swio('/?refuse=1', { transports: [transport], attempts: 0 });
      listen(swio, ['open', 'close']);
      return next();
    }, transport);
    const reason = transport === 'long-polling' ? 'status 403' : '';
    assert.deepEqual(seen, { type: 'close', code: 1006, reason, wasClean: false, willReconnect: false });
  },

  async 'a page that asks where something else is, is told so'(page, transport) {
    if (transport !== 'long-polling') return;
    const reasons = [];
    for (const body of ['<!doctype html>', '{"other":1}']) {
      await page.route(/swio=poll/, (route) => route.fulfill({ status: 200, body }));
      reasons.push(await page.evaluate(async () => {
        if (swio.readyState !== Swio.CLOSED) await done();
        window.swio = new Swio('/', { transports: ['long-polling'], attempts: 0 });
        listen(swio, ['open', 'close']);
        return (await next()).reason;
      }));
      await page.unroute(/swio=poll/);
    }
    assert.deepEqual(reasons, Array(2).fill('no long polling at this URL'));
  },

  async 'a page whose origin is not allowed is told nothing by the browser'(page, transport) {
    const seen = await page.evaluate(async ([url, transport]) => {
      await done();
      window.swio = new Swio(url, { transports: [transport], attempts: 0 });
      listen(swio, ['open', 'close']);
      return next();
    }, [`http://${server.matching(/^listening (.*)/)[1][1]}`, transport]);
    assert.deepEqual(seen, { type: 'close', code: 1006, reason: '', wasClean: false, willReconnect: false });
  },

  async 'what can never work is an error at once'(page, transport) {
    const seen = await page.evaluate((transport) => {
      const thrown = (call) => {
        try {
          call();
          return 'nothing';
        } catch (error) {
          return `${error.name}: ${error.message}`;
        }
      };
      const errors = [
        () => new Swio('localhost:9501'),
        () => new Swio('file:///page.html'),
        () => new Swio('/', { transports: [transport, 'sse'] }),
        () => new Swio('/', { transports: [] }),
        () => new Swio('/', { transport }),
        () => swio.subscribe(''),
        () => swio.subscribe('\u00fc'.repeat(513)),
      ].map(thrown);
      new Swio('/', { transports: undefined, waitMin: undefined }).close();
      const numbers = swio.subscribe(7) === swio.subscribe('7');
      swio.unsubscribe(7);
      return { errors, numbers };
    }, transport);
    const names = 'websocket, event-stream, long-polling';
    const options =
      'transports, connectTimeout, silenceTimeout, answerTimeout, waitMin, waitMax, attempts, queueBytesMax, ' +
      'lastEventIds, reconnect';
    const schemes = 'begins with neither ws:, wss:, http: nor https:';
    assert.deepEqual(seen, {
      errors: [
        `SyntaxError: localhost:9501 ${schemes}`,
        `SyntaxError: file:///page.html ${schemes}`,
        `TypeError: transports: some of ${names}, and not "${transport},sse"`,
        `TypeError: transports: some of ${names}, and not ""`,
        `TypeError: options: some of ${options}, and not "transport"`,
        'TypeError: the name of a topic has 1 to 1024 bytes, and not 0',
        'TypeError: the name of a topic has 1 to 1024 bytes, and not 1026',
      ],
      numbers: true,
    });
  },

  async 'as large a message as is taken comes through on each transport'(page) {
    const length = await page.evaluate(async () => {
      swio.send('x'.repeat(2_000_000));
      return (await next()).data.length;
    });
    assert.equal(length, 2_000_000);
  },

  async 'the server goes, and another comes: the page goes on, and is told of the gap'(page, transport) {
    await page.evaluate(async () => {
      const news = swio.subscribe('news');
      await new Promise((resolve) => { news.onsubscribed = resolve; });
      swio.send('/publish news here');
      await next();
    });
    const { host } = server;
    // Between two polls a page has no request by which the server could say that it goes.
    if (transport === 'long-polling') await pollIsParked(page);
    await server.stop();
    await page.evaluate(async () => {
      await until('a close', () => heard.some(({ type }) => type === 'close'));
      if (heard[0].code !== 1001 || !heard[0].willReconnect) throw new Error(JSON.stringify(heard));
    });
    server = await Server.start(host);
    await page.evaluate(async () => {
      await until('a gap', () => heard.some(({ type }) => type === 'gap'));
      await until('an opening', () => swio.readyState === Swio.OPEN);
    });
    const { child } = server;
    child.kill('SIGKILL');
    await page.evaluate(() => until('a close', () => swio.readyState === Swio.CONNECTING));
    server = await Server.start(host);
    await page.evaluate(async () => {
      await until('an opening', () => swio.readyState === Swio.OPEN);
      heard.length = 0;
      swio.send('still here');
      await until('it', () => heard.some(({ data }) => data === 'still here'));
    });
  },
};

// A poll is at the server, which holds it for one second.
async function pollIsParked(page) {
  await page.waitForRequest((request) => new URL(request.url()).searchParams.get('swio') === 'poll');
  await new Promise((resolve) => { setTimeout(resolve, 250); });
}

async function suite(transport) {
  for (const [name, test] of Object.entries(TESTS)) {
    const page = await open(browser, server.url);
    try {
      await page.evaluate((transport) => connect('/', { transports: [transport] }), transport);
      await test(page, transport);
      await page.context().close();
    } catch (error) {
      console.log(`FAIL  ${transport}: ${name}\n${error.stack}`);
      process.exit(1);
    }
    passed += 1;
  }
  console.log(`ok    ${transport}`);
}

process.on('exit', () => server?.child.kill('SIGKILL'));
server = await Server.start();
// Pages that are gone back to are kept as they were, as browsers in use do it.
browser = await launch({ ignoreDefaultArgs: ['--disable-back-forward-cache'] });
for (const transport of process.argv[2]?.split(',') ?? TRANSPORTS) await suite(transport);
await browser.close();
await server.stop();
console.log(`page: ${passed} passed`);
