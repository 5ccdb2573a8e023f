// swio: a page's side of a swio server. `new Swio(url)` has a WebSocket's surface, and beside it topics, coming back,
// and two other ways to the server where no WebSocket comes through. Types and descriptions: swio.d.ts.
//
// Three classes carry messages, each for one session: WebSocketTransport, EventStream and LongPolling. They have the
// same interface:
//   new (base, positions, options, to)       to.opened(), to.received(labels, data), to.lost(code, reason, wasClean)
//   send(query, payload)                     in order; payload: a string or a Blob
//   close(code, reason)                      behind all that was sent
//   drop()                                   gone without a further word from it
//   leave()                                  the page goes: what the server is to know, now
//   unsent()                                 messages that the server has certainly not got
//   unconfirmed()                            payloads of messages that it may have got
//   bufferedAmount
// Swio chooses among them, comes back when one is lost, and keeps subscriptions and positions.
(() => {
  "use strict";

  const PROTOCOL = "swio.1";
  // Labels of what is told beside messages; one of them is in each notice.
  const NOTICES = ["subscribed", "unsubscribed", "denied", "gap", "position"];
  const DEFAULTS = {
    transports: ["websocket", "event-stream", "long-polling"],
    connectTimeout: 4000,
    silenceTimeout: 25000,
    answerTimeout: 10000,
    waitMin: 500,
    waitMax: 30000,
    attempts: Infinity,
    queueBytesMax: 4 << 20,
    lastEventIds: {},
    // Not after a code by which the server says that this page is not wanted, or can't be understood: 1000, 1002,
    // 1008, 4000 and so on.
    reconnect: ({ code }) => code === 1001 || code === 1005 || code === 1006 || (code > 1010 && code < 3000),
  };
  // What the page is told beside messages. A message under such a name would be taken for it.
  const OWN_EVENTS = ["open", "message", "close", "error", "gap", "subscribed", "denied"];
  // A session that lived for less says nothing about whether the next one will.
  const STABLE_MS = 3000;
  // So often a WebSocket that messages are sent over is asked which have arrived.
  const CONFIRM_MS = 1000;
  const TOPIC_BYTES_MAX = 1024;
  // What positions may take of the request that opens a session: servers and proxies bound its length.
  const POSITIONS_BYTES_MAX = 2048;
  const DATA_BYTES_MAX = 4096;
  // What comes or goes more slowly is taken for lost.
  const BYTES_PER_MS_MIN = 10;

  const jittered = (ms) => Math.random() * ms;
  const bytesOf = (payload) => (typeof payload === "string" ? new Blob([payload]) : payload).size;

  // How far the message with the id `id` is after the one with the id `last`; NaN where they are not of one history of
  // one topic, EPOCH-NUMBER. Ids that the application gives its messages are no positions.
  const distance = (id, last) => {
    const [[epoch, number], [lastEpoch, lastNumber]] = [id.split("-"), last.split("-")];
    return epoch === lastEpoch ? number - lastNumber : NaN;
  };

  // An EventTarget whose on... properties are called too.
  class Target extends EventTarget {
    constructor(types) {
      super();
      for (const type of types) {
        this[`on${type}`] = null;
        this.addEventListener(type, (event) => this[`on${type}`]?.(event));
      }
    }
  }

  class WebSocketTransport {
    constructor(base, positions, options, to) {
      const url = new URL(base.href.replace(/^http/, "ws"));
      for (const position of positions) url.searchParams.append("last-event-id", position);
      this.options = options;
      this.to = to;
      // Messages that may not have arrived, how many were sent before the first of them, and before each ping under way.
      this.sent = [];
      this.arrived = 0;
      this.marks = [];
      this.socket = new WebSocket(url.href, PROTOCOL);
      this.socket.binaryType = "arraybuffer";
      this.socket.onopen = () => {
        if (this.socket.protocol !== PROTOCOL) return this.lose(1006, "", false);
        this.heard();
        to.opened();
      };
      this.socket.onmessage = ({ data }) => {
        this.heard();
        this.receive(data);
      };
      this.socket.onclose = ({ code, reason, wasClean }) => this.lose(code, reason, wasClean);
    }

    receive(frame) {
      let head;
      let data;
      if (typeof frame === "string") {
        const end = frame.indexOf("\n");
        head = frame.slice(0, end);
        data = frame.slice(end + 1);
      } else {
        const end = new Uint8Array(frame).indexOf(10);
        head = new TextDecoder().decode(frame.slice(0, end));
        data = frame.slice(end + 1);
      }
      const labels = Object.fromEntries(new URLSearchParams(head));
      if ("pong" in labels) return this.confirmed();
      if ("coming" in labels) return this.heard(labels.coming);
      this.to.received(labels, NOTICES.some((name) => name in labels) ? undefined : data);
    }

    // Pages are not told of the protocol's own pings; so the page asks, and an answer is a message. `coming`: so many
    // bytes come as one message, of which nothing is heard before its end.
    heard(coming = 0) {
      clearTimeout(this.silence);
      this.silence = setTimeout(
        () => {
          const before = this.sent.reduce((sum, payload) => sum + bytesOf(payload), 0);
          this.ping();
          const ms = this.options.answerTimeout + before / BYTES_PER_MS_MIN;
          this.silence = setTimeout(() => this.lose(1006, "", false), ms);
        },
        this.options.silenceTimeout + coming / BYTES_PER_MS_MIN,
      );
    }

    // Frames are in order: with the answer to a ping all that was sent before it has arrived.
    ping() {
      this.marks.push(this.arrived + this.sent.length);
      this.send("swio=ping", "");
    }

    confirmed() {
      const mark = this.marks.shift() ?? this.arrived;
      this.sent.splice(0, mark - this.arrived);
      this.arrived = mark;
      clearTimeout(this.asking);
      this.asking = undefined;
      if (this.sent.length > 0) this.askSoon();
    }

    askSoon() {
      this.asking ??= setTimeout(() => this.ping(), CONFIRM_MS);
    }

    send(query, payload) {
      // One that is closing would drop it, and say so in the console.
      if (!(this.socket.readyState > 1)) {
        // A Blob of parts is a copy, and keeps its place among texts.
        this.socket.send(typeof payload === "string" ? `${query}\n${payload}` : new Blob([query, "\n", payload]));
      }
      if (query !== "") return;
      this.sent.push(payload);
      this.askSoon();
    }

    close(code, reason) {
      this.socket.close(...(code ? [code, reason] : []));
    }

    lose(code, reason, wasClean) {
      this.drop();
      this.to.lost(code, reason, wasClean);
    }

    drop() {
      clearTimeout(this.silence);
      clearTimeout(this.asking);
      this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
      this.socket.close();
    }

    // The browser says it.
    leave() {}

    unsent() {
      return [];
    }

    unconfirmed() {
      return this.sent;
    }

    get bufferedAmount() {
      return this.socket.bufferedAmount;
    }
  }

  // What event streams and long polling share: what goes to the server, by POST, one after the other. Each has its
  // number, so that one whose answer was lost can be sent again without being taken twice.
  class PostingTransport {
    constructor(base, positions, options, to) {
      this.base = base;
      this.positions = positions;
      this.options = options;
      this.to = to;
      this.session = undefined;
      this.posts = [];
      this.isPosting = false;
      this.number = 1;
      this.isOver = false;
      this.abort = new AbortController();
    }

    url(parameters) {
      const url = new URL(this.base);
      for (const [name, values] of Object.entries(parameters)) {
        for (const value of [values].flat()) if (value !== "") url.searchParams.append(name, value);
      }
      return url;
    }

    send(query, payload) {
      this.posts.push({ query, payload, size: bytesOf(payload), isInDoubt: false });
      if (!this.isPosting) this.post();
    }

    close(code, reason) {
      this.send(new URLSearchParams({ swio: "close", ...(code && { code, reason }) }).toString(), "");
      this.closing = code || 1005;
    }

    async post() {
      this.isPosting = true;
      let [failures, late] = [0, 0];
      while (this.posts.length > 0) {
        const [post] = this.posts;
        const wasInDoubt = post.isInDoubt;
        post.isInDoubt = true;
        const { status } = await this.request(this.postUrl(post.query), post.size / BYTES_PER_MS_MIN, {
          method: "POST",
          body: post.payload,
        });
        if (this.isOver) return;
        if (status === 204) {
          this.posts.shift();
          this.number += 1;
          failures = late = 0;
          if (this.closing && this.posts.length === 0) return this.lose(this.closing, "", true);
        } else if (status === 408 && ++late === 3) {
          // The line is too slow for it, and what is behind it would wait for as long as the session lives.
          return this.lose(1006, "", false);
        } else if (status === 0 || status === 200 || status === 408 || status === 429 || status >= 500) {
          if (status === 429) post.isInDoubt = wasInDoubt;
          await this.pause(failures++);
          if (this.isOver) return;
        } else if (status === 413) {
          return this.refuse(1009, "message too big");
        } else {
          if (status === 404) post.isInDoubt = wasInDoubt;
          return this.lose(1006, "", false);
        }
      }
      this.isPosting = false;
    }

    postUrl(query) {
      const url = this.url({ session: this.session, number: this.number });
      for (const [name, value] of new URLSearchParams(query || "swio=send")) url.searchParams.append(name, value);
      return url;
    }

    // An answer, or one of status 0 where none came; it may take longer while it arrives. One of status 200 without a body is somebody else's.
    async request(url, ms, init = {}) {
      const abort = new AbortController();
      const stop = () => abort.abort();
      let timer = setTimeout(stop, this.options.answerTimeout + ms);
      const heard = () => {
        clearTimeout(timer);
        timer = setTimeout(stop, this.options.answerTimeout);
      };
      this.abort.signal.addEventListener("abort", stop);
      try {
        const answer = await fetch(url, { credentials: "include", cache: "no-store", ...init, signal: abort.signal });
        return { status: answer.status, body: answer.status === 200 ? await this.read(answer, heard) : undefined };
      } catch (error) {
        return { status: error instanceof SyntaxError ? 200 : 0 };
      } finally {
        clearTimeout(timer);
        this.abort.signal.removeEventListener("abort", stop);
      }
    }

    async read(answer, heard) {
      const pieces = [];
      const reader = answer.body.getReader();
      for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
        heard();
        pieces.push(piece.value);
      }
      return JSON.parse(await new Blob(pieces).text());
    }

    // Within a session, whose life is short, waits stay short.
    pause(failures) {
      const ms = Math.min(this.options.waitMax, 5000, this.options.waitMin * 2 ** failures);
      return new Promise((resolve) => setTimeout(resolve, ms / 4 + jittered(ms)));
    }

    // As over a WebSocket, a message that the server can't take is the end.
    refuse(code, reason) {
      this.leave(code, reason);
      this.lose(code, reason, true);
    }

    lose(code, reason, wasClean) {
      this.stop();
      this.to.lost(code, reason, wasClean);
    }

    stop() {
      this.isOver = true;
      this.abort.abort();
    }

    drop() {
      this.leave();
      this.stop();
    }

    leave(code = 1001, reason = "") {
      if (this.session === undefined || this.isOver) return;
      // Nothing else is sent for certain while a page goes.
      navigator.sendBeacon?.(this.url({ swio: "close", code, reason, session: this.session }).href, "");
    }

    unsent() {
      return this.posts.filter(({ query, isInDoubt }) => query === "" && !isInDoubt);
    }

    unconfirmed() {
      return this.posts.filter(({ query, isInDoubt }) => query === "" && isInDoubt).map(({ payload }) => payload);
    }

    get bufferedAmount() {
      return this.posts.reduce((sum, { size }) => sum + size, 0);
    }

    receive({ text, binary, ...labels }) {
      const bytes = () => Uint8Array.from(atob(binary), (byte) => byte.charCodeAt(0)).buffer;
      this.to.received(labels, binary === undefined ? text : bytes());
    }
  }

  class EventStream extends PostingTransport {
    constructor(base, positions, options, to) {
      super(base, positions, options, to);
      const url = this.url({ swio: "stream", protocol: PROTOCOL, "last-event-id": positions });
      this.source = new EventSource(url, { withCredentials: true });
      this.source.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        let coming = 0;
        if (message.coming !== undefined) {
          coming = message.coming / BYTES_PER_MS_MIN;
        } else if (message.session !== undefined) {
          this.session = message.session;
          this.heartbeat = Number(message.heartbeat);
          to.opened();
        } else {
          this.receive(message);
        }
        // Two heartbeats that did not come: the connection is gone, or something in between keeps them back.
        clearTimeout(this.silence);
        if (this.isOver || !this.heartbeat) return;
        this.silence = setTimeout(() => {
          this.drop();
          to.lost(1006, "", false);
        }, 2 * this.heartbeat + coming);
      };
      this.source.addEventListener("close", ({ data }) => {
        const { code, reason } = JSON.parse(data);
        this.lose(code, reason, true);
      });
      // It would come back by itself, to another session.
      this.source.onerror = () => this.lose(1006, "", false);
    }

    stop() {
      super.stop();
      clearTimeout(this.silence);
      this.source.close();
    }
  }

  class LongPolling extends PostingTransport {
    constructor(base, positions, options, to) {
      super(base, positions, options, to);
      this.poll();
    }

    async poll() {
      let next = { swio: "poll", "last-event-id": this.positions };
      let hold = 0;
      let failures = 0;
      let failingSince;
      while (!this.isOver) {
        const { status, body } = await this.request(this.url(next), hold);
        if (this.isOver) return;
        if (Array.isArray(body?.messages)) {
          failures = 0;
          if (this.session === undefined) {
            this.session = body.session;
            hold = body.hold;
            this.to.opened();
          }
          next = { swio: "poll", session: this.session, cursor: body.cursor };
          for (const message of body.messages) if (!this.isOver) this.receive(message);
          if (body.closed && !this.isOver) this.lose(body.closed.code, body.closed.reason, true);
          continue;
        }
        // The session outlives its requests; who asks again with the same cursor gets again what was lost.
        if (failures === 0) failingSince = Date.now();
        const isLasting = Date.now() - failingSince > hold + this.options.answerTimeout;
        const isRefused = status >= 400 && status < 500 && status !== 429 && status !== 408;
        if (this.session === undefined || isRefused || isLasting) {
          if (!isRefused) this.leave();
          const isForeign = status === 200 && this.session === undefined;
          return this.lose(1006, isRefused ? `status ${status}` : isForeign ? "no long polling at this URL" : "", false);
        }
        await this.pause(failures++);
      }
    }
  }

  const TRANSPORTS = {
    websocket: WebSocketTransport,
    "event-stream": EventStream,
    "long-polling": LongPolling,
  };

  class Subscription extends Target {
    constructor(swio, topic, lastEventId, data) {
      super(["message", "subscribed", "denied", "gap"]);
      this.topic = topic;
      this.state = "pending";
      // The position in the topic's history, from which it goes on after a cut.
      this.lastEventId = lastEventId;
      // Sent along whenever it is asked for.
      this.data = data;
      this._swio = swio;
    }

    unsubscribe() {
      this._swio._unsubscribe(this);
    }
  }

  class Swio extends Target {
    constructor(url, options = {}) {
      super(["open", "message", "close", "error", "gap"]);
      const known = Object.keys(DEFAULTS);
      const unknown = Object.keys(options).find((name) => !known.includes(name));
      if (unknown !== undefined) throw new TypeError(`options: some of ${known.join(", ")}, and not "${unknown}"`);
      const given = Object.entries(options).filter(([, value]) => value !== undefined);
      this._options = { ...DEFAULTS, ...Object.fromEntries(given) };
      const { transports } = this._options;
      if (!transports.length || !transports.every((name) => TRANSPORTS[name])) {
        throw new TypeError(`transports: some of ${Object.keys(TRANSPORTS).join(", ")}, and not "${transports}"`);
      }
      this._base = new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href);
      this._base.protocol = this._base.protocol.replace("ws", "http");
      // "localhost:9501" is a URL too, and pages from files have others.
      if (!/^https?:$/.test(this._base.protocol)) {
        throw new DOMException(`${this._base.href} begins with neither ws:, wss:, http: nor https:`, "SyntaxError");
      }
      this._base.hash = "";
      this.readyState = Swio.CONNECTING;
      this.binaryType = "blob";
      this._subscriptions = new Map();
      this._queue = [];
      // By topic: the id up to which the page has all, those that were heard of last at the end.
      this._positions = new Map(Object.entries(this._options.lastEventIds));
      // Topics of which something was lost: what comes next may be of another history.
      this._gaps = new Set();
      this._transport = null;
      this._name = null;
      this._proven = 0;
      this._rounds = 0;
      this._listeners = {
        online: () => this._transport || this.reconnect(),
        pagehide: ({ persisted }) => (persisted ? this._lost(1001, "", false) : this._transport?.leave()),
        pageshow: ({ persisted }) => persisted && this.reconnect(),
      };
      // A page that goes may come back as it was, but not with a connection open.
      for (const type in this._listeners) globalThis.addEventListener(type, this._listeners[type]);
      // Whoever made it has the time to add listeners.
      this._wait = setTimeout(() => this._round(), 0);
    }

    get url() {
      return this._base.href.replace(/^http/, "ws");
    }

    get protocol() {
      return this.transport === null ? "" : PROTOCOL;
    }

    get transport() {
      return this.readyState === Swio.OPEN || this.readyState === Swio.CLOSING ? this._name : null;
    }

    get bufferedAmount() {
      return this._queue.reduce((sum, { size }) => sum + size, this._transport?.bufferedAmount ?? 0);
    }

    send(data) {
      if (this.readyState >= Swio.CLOSING) return;
      const isBinary = data instanceof Blob || data instanceof ArrayBuffer || ArrayBuffer.isView(data);
      // A POST says by its type that it is binary. A Blob is a copy: what becomes of the original meanwhile is no matter.
      const payload = isBinary ? new Blob([data], { type: "application/octet-stream" }) : String(data);
      const size = bytesOf(payload);
      if (this.bufferedAmount + size > this._options.queueBytesMax) {
        throw new DOMException("more than queueBytesMax would wait to be sent", "QuotaExceededError");
      }
      if (this.readyState === Swio.OPEN) this._transport.send("", payload);
      else this._queue.push({ payload, size });
    }

    subscribe(topic, { lastEventId = "", data = "" } = {}) {
      topic = String(topic);
      // To the server these are no commands, and the end of the session.
      const size = bytesOf(topic);
      if (size === 0 || size > TOPIC_BYTES_MAX) {
        throw new TypeError(`the name of a topic has 1 to ${TOPIC_BYTES_MAX} bytes, and not ${size}`);
      }
      if (bytesOf(String(data)) > DATA_BYTES_MAX) {
        throw new TypeError(`the data of a subscription has at most ${DATA_BYTES_MAX} bytes`);
      }
      let subscription = this._subscriptions.get(topic);
      if (subscription === undefined) {
        subscription = new Subscription(this, topic, lastEventId || (this._positions.get(topic) ?? ""), data);
        this._subscriptions.set(topic, subscription);
        if (lastEventId) this._advance(topic, lastEventId);
        if (this.readyState === Swio.OPEN) this._subscribe(subscription);
      }
      return subscription;
    }

    unsubscribe(topic) {
      this._subscriptions.get(String(topic))?.unsubscribe();
    }

    close(code, reason = "") {
      if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999)) {
        throw new DOMException(`${code} is neither 1000 nor between 3000 and 4999`, "InvalidAccessError");
      }
      if (bytesOf(reason) > 123) throw new DOMException("a reason has at most 123 bytes", "SyntaxError");
      if (this.readyState >= Swio.CLOSING) return;
      const isOpen = this.readyState === Swio.OPEN;
      this.readyState = Swio.CLOSING;
      if (!isOpen) return this._lost(1006, "", false);
      this._transport.close(code, reason);
      this._wait = setTimeout(() => this._lost(1006, "", false), this._options.answerTimeout);
    }

    // Drops the session, ends a wait, and tries again at once.
    reconnect() {
      if (this.readyState >= Swio.CLOSING) return;
      if (this.readyState === Swio.OPEN) this._lost(1006, "", false);
      if (this.readyState !== Swio.CONNECTING) return;
      this._drop();
      this._rounds = 0;
      this._round();
    }

    // One try of each transport, the best first. After a loss those above the best that has worked so far need not be
    // tried again at first: the network is most likely as it was.
    _round() {
      const { transports } = this._options;
      this._try(transports.slice(this._rounds === 0 ? this._proven : 0));
    }

    _try([name, ...others]) {
      clearTimeout(this._wait);
      const isCurrent = () => this._transport === transport;
      const next = (code, reason, wasClean) => {
        if (others.length === 0) return this._lost(code, reason, wasClean);
        this._drop();
        this._try(others);
      };
      let isOpen = false;
      const to = {
        opened: () => {
          isOpen = true;
          this._opened(name);
        },
        received: (labels, data) => isCurrent() && this._received(labels, data),
        lost: (code, reason, wasClean) => {
          if (isCurrent()) (isOpen ? this._lost(code, reason, wasClean) : next(code, reason, wasClean));
        },
      };
      let transport;
      try {
        transport = new TRANSPORTS[name](this._base, this._told(), this._options, to);
      } catch {
        // From a page that came by https browsers open nothing that is not encrypted.
        return next(1006, "", false);
      }
      this._transport = transport;
      this._wait = setTimeout(() => next(1006, "", false), this._options.connectTimeout);
    }

    _opened(name) {
      clearTimeout(this._wait);
      this._wait = undefined;
      this._openedAt = Date.now();
      this._name = name;
      const rank = this._options.transports.indexOf(name);
      this._proven = this._hasWorked ? Math.min(this._proven, rank) : rank;
      this._hasWorked = true;
      this.readyState = Swio.OPEN;
      for (const subscription of this._subscriptions.values()) this._subscribe(subscription);
      for (const { payload } of this._queue.splice(0)) this._transport.send("", payload);
      this.dispatchEvent(new Event("open"));
    }

    _subscribe({ topic, lastEventId, data }) {
      const query = new URLSearchParams({ swio: "subscribe", topic });
      if (lastEventId) query.set("last-event-id", lastEventId);
      if (data) query.set("data", data);
      this._transport.send(query.toString(), "");
    }

    _unsubscribe(subscription) {
      const { topic } = subscription;
      if (this._subscriptions.get(topic) !== subscription) return;
      this._subscriptions.delete(topic);
      this._positions.delete(topic);
      subscription.state = "unsubscribed";
      if (this.readyState !== Swio.OPEN) return;
      this._transport.send(new URLSearchParams({ swio: "unsubscribe", topic }).toString(), "");
    }

    _received(labels, data) {
      if (this.readyState !== Swio.OPEN) return;
      if (data === undefined) return this._noticed(labels);
      const { topic = "", id = "", event = "" } = labels;
      const subscription = this._subscriptions.get(topic);
      const ahead = distance(id, this._positions.get(topic) ?? "");
      // It is here already: there were more positions than the server was told.
      if (ahead <= 0) return;
      if (ahead > 0 || (id !== "" && this._gaps.has(topic))) this._advance(topic, id);
      const isBlob = data instanceof ArrayBuffer && this.binaryType === "blob";
      const init = { data: isBlob ? new Blob([data]) : data, lastEventId: id, origin: this._base.origin };
      const type = event === "" || OWN_EVENTS.includes(event) ? "message" : event;
      const message = Object.assign(new MessageEvent(type, init), { topic });
      subscription?.dispatchEvent(message);
      this.dispatchEvent(message);
    }

    // The page has all of a topic up to this id.
    _advance(topic, id) {
      this._gaps.delete(topic);
      this._positions.delete(topic);
      this._positions.set(topic, id);
      const subscription = this._subscriptions.get(topic);
      if (subscription) subscription.lastEventId = id;
    }

    // The positions that the server is told when a session is opened: as many as fit. In the other topics it tells a gap.
    _told() {
      const positions = [...this._positions].reverse().map(([topic, id]) => `${id} ${topic}`);
      let room = POSITIONS_BYTES_MAX;
      const fits = (position) => {
        const size = new URLSearchParams({ "last-event-id": position }).toString().length + 1;
        if (size > room) return false;
        room -= size;
        return true;
      };
      const told = positions.filter(fits);
      // Without any it would be new to the server.
      return told.length === 0 && positions.length > 0 ? ["-"] : told;
    }

    _noticed({ subscribed, denied, gap, position, id, reason, data = "" }) {
      const subscription = this._subscriptions.get(subscribed ?? denied ?? gap);
      const tell = (target, type, members) => target?.dispatchEvent(Object.assign(new Event(type), members));
      if (subscribed !== undefined && subscription) {
        subscription.state = "subscribed";
        if (id) this._advance(subscribed, id);
        tell(subscription, "subscribed", { topic: subscribed, data });
      } else if (denied !== undefined && subscription) {
        this._subscriptions.delete(denied);
        this._positions.delete(denied);
        subscription.state = "denied";
        tell(subscription, "denied", { topic: denied, reason });
      } else if (gap !== undefined) {
        this._gaps.add(gap);
        tell(subscription, "gap", { topic: gap });
        tell(this, "gap", { topic: gap });
      } else if (position !== undefined) {
        this._advance(position, id);
      }
    }

    _drop() {
      clearTimeout(this._wait);
      this._wait = undefined;
      this._transport?.drop();
      this._transport = null;
    }

    // A session has ended, or a whole round of tries was in vain.
    _lost(code, reason, wasClean) {
      const isClosing = this.readyState === Swio.CLOSING;
      this._queue.unshift(...(this._transport?.unsent() ?? []));
      // Who is answered its own goodbye was heard to the end.
      const unconfirmed = isClosing && wasClean ? [] : (this._transport?.unconfirmed() ?? []);
      this._drop();
      if (this.readyState === Swio.OPEN && Date.now() - this._openedAt >= STABLE_MS) this._rounds = 0;
      for (const subscription of this._subscriptions.values()) subscription.state = "pending";
      const { attempts, reconnect, waitMin, waitMax } = this._options;
      const event = new CloseEvent("close", { code, reason, wasClean });
      event.willReconnect = !isClosing && this._rounds < attempts && reconnect(event);
      event.retryIn = null;
      event.unconfirmed = unconfirmed;
      if (event.willReconnect) {
        event.retryIn = jittered(Math.min(waitMax, waitMin * 2 ** this._rounds));
        this.readyState = Swio.CONNECTING;
        this._wait = setTimeout(() => this._round(), event.retryIn);
        this._rounds += 1;
      } else {
        unconfirmed.push(...this._queue.map(({ payload }) => payload));
        this._end();
      }
      if (!wasClean) this.dispatchEvent(new Event("error"));
      this.dispatchEvent(event);
    }

    _end() {
      this.readyState = Swio.CLOSED;
      this._queue = [];
      for (const subscription of this._subscriptions.values()) subscription.state = "unsubscribed";
      this._subscriptions.clear();
      for (const type in this._listeners) globalThis.removeEventListener(type, this._listeners[type]);
    }
  }

  ["CONNECTING", "OPEN", "CLOSING", "CLOSED"].forEach((name, value) => {
    Swio[name] = Swio.prototype[name] = value;
  });
  globalThis.Swio = Swio;
  if (typeof module === "object") module.exports = Swio;
})();
