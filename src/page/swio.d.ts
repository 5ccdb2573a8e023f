// The types of swio.js, and what you need to know to use it. Loaded as a script, it defines the global `Swio`; for
// bundlers it is a CommonJS module.

export = Swio;
export as namespace Swio;

/**
 * A session with a swio server. It is used like a WebSocket, reconnects when the connection is lost, and has topics. It
 * uses a WebSocket or, if the network lets none through, an event stream with POST, or long polling.
 *
 * ```js
 * const swio = new Swio("/");
 * // Messages of topics come here too.
 * swio.onmessage = ({ data, topic }) => { if (!topic) show(data); };
 * swio.subscribe("news").onmessage = ({ data }) => showNews(data);
 * swio.send("hello");
 * ```
 *
 * With HTTP/1.1 a browser opens six connections to a host, for all tabs together, and each tab without a WebSocket
 * holds one of them: with six such tabs none can send, and a seventh does not load. Behind a proxy that speaks HTTP/2
 * to browsers there is no such limit.
 *
 * In addition to a WebSocket's events: a message with an event name is dispatched as an event of that name, and `gap`
 * means that messages of a topic were missed and can't be recovered.
 */
declare class Swio extends EventTarget {
  /**
   * `url`: as for WebSocket, or http(s), or relative to the page. The server gets its query. Throws if it is not such a
   * URL, or if an option or a transport is unknown.
   */
  constructor(url: string | URL, options?: Swio.Options);

  static readonly CONNECTING: 0;
  static readonly OPEN: 1;
  static readonly CLOSING: 2;
  static readonly CLOSED: 3;
  readonly CONNECTING: 0;
  readonly OPEN: 1;
  readonly CLOSING: 2;
  readonly CLOSED: 3;

  readonly url: string;
  /** CONNECTING also while it waits to reconnect; CLOSED only after the final end. */
  readonly readyState: 0 | 1 | 2 | 3;
  readonly protocol: "swio.1" | "";
  /** The transport in use; null while there is no session. */
  readonly transport: Swio.Transport | null;
  /** Number of bytes that wait in the page to be sent. */
  readonly bufferedAmount: number;
  binaryType: BinaryType;

  /** The session is open: the first time, and after each reconnect. */
  onopen: ((event: Event) => void) | null;
  /** A message without an event name. Those of topics too, after the subscription has got them: look at `topic`. */
  onmessage: ((event: Swio.MessageEvent) => void) | null;
  /**
   * The session was lost, all transports failed, or this is the final end. Browsers do not tell a page why a connection
   * could not be opened, except with long polling. If it is the last transport, the code is 1006 and the reason is
   * `status 403`, or whatever the server's status was, or `no long polling at this URL` if some other page is there. If
   * the server does not allow the page's origin, browsers do not tell that either: the reason is empty. To turn a page
   * away for good, accept it and disconnect it with a code of 4000 or more.
   */
  onclose: ((event: Swio.CloseEvent) => void) | null;
  onerror: ((event: Event) => void) | null;
  ongap: ((event: Swio.TopicEvent) => void) | null;

  /**
   * Sends a message. Without an open session it is kept and sent later. Throws a `QuotaExceededError` if more than
   * `queueBytesMax` would wait. After the final end it does nothing, like a WebSocket.
   */
  send(data: string | Blob | ArrayBuffer | ArrayBufferView): void;
  /** Closes for good, after everything that was sent. `code`: 1000, or 3000 to 4999; `reason`: up to 123 bytes. */
  close(code?: number, reason?: string): void;
  /** Drops the session, or ends the wait for the next attempt, and reconnects at once. */
  reconnect(): void;
  /**
   * Asks to be in a topic, now and again after each reconnect. Returns the same object for the same topic. Throws if
   * the name is empty or over 1,024 bytes, or the data over 4,096.
   */
  subscribe(topic: string, options?: Swio.SubscribeOptions): Swio.Subscription;
  unsubscribe(topic: string): void;

  addEventListener<K extends keyof Swio.Events>(
    type: K, listener: (this: Swio, event: Swio.Events[K]) => void, options?: boolean | AddEventListenerOptions): void;
  /** Messages with an event name. */
  addEventListener(
    type: string, listener: (event: Swio.MessageEvent) => void, options?: boolean | AddEventListenerOptions): void;
  removeEventListener<K extends keyof Swio.Events>(
    type: K, listener: (this: Swio, event: Swio.Events[K]) => void, options?: boolean | EventListenerOptions): void;
  removeEventListener(
    type: string, listener: (event: Swio.MessageEvent) => void, options?: boolean | EventListenerOptions): void;
}

declare namespace Swio {
  type Transport = "websocket" | "event-stream" | "long-polling";

  /** All times are in milliseconds. */
  interface Options {
    /** The transports to try, in this order. Default: all three. */
    transports?: readonly Transport[];
    /** How long each transport may take to open a session. Default 4000. */
    connectTimeout?: number;
    /** After this much silence a ping is sent on a WebSocket. Default 25,000. */
    silenceTimeout?: number;
    /** How long the answer to a ping or a POST may take, or to a poll after its hold time. Default 10,000. */
    answerTimeout?: number;
    /** The wait before an attempt is random: at first up to this, then up to twice as much each time. Default 500. */
    waitMin?: number;
    /** The longest wait. Default 30,000. */
    waitMax?: number;
    /** The number of failed attempts after which it gives up. Default: Infinity. */
    attempts?: number;
    /** The most bytes that may wait; beyond it `send` throws. Default 4 MiB. */
    queueBytesMax?: number;
    /**
     * By topic, the id of the last message that the page has from elsewhere: where to go on in the topics that the
     * server puts the page into by itself. Where some are named, others begin with a gap. Default: from now on in all.
     */
    lastEventIds?: Readonly<Record<string, string>>;
    /**
     * Whether to reconnect. By default it does if the connection was lost, or the server is shutting down, fails or has
     * no room (1001, 1005, 1006, 1011 to 2999), and not if the server refuses or does not understand this page (1000,
     * 1002, 1008, 4000 and others).
     */
    reconnect?: (event: globalThis.CloseEvent) => boolean;
  }

  interface SubscribeOptions {
    /** The id of a message that the page has from elsewhere; what came after it is sent, if the topic has a history. */
    lastEventId?: string;
    /** What is sent to the server with the request, such as a token. */
    data?: string;
  }

  interface MessageEvent extends globalThis.MessageEvent<any> {
    /** The topic that it was published to; empty if it was pushed to this page alone. */
    readonly topic: string;
  }

  interface CloseEvent extends globalThis.CloseEvent {
    readonly willReconnect: boolean;
    /** Milliseconds until the next attempt; null if there is none. */
    readonly retryIn: number | null;
    /**
     * Messages that were sent and may not have arrived, in order. Those that were certainly not sent are kept and sent
     * later, unless this is the final end. A page may send these again if the server can detect duplicates.
     */
    readonly unconfirmed: readonly (string | Blob)[];
  }

  interface TopicEvent extends Event {
    readonly topic: string;
  }

  interface SubscribedEvent extends TopicEvent {
    /** What the server tells with it; empty where it tells nothing. */
    readonly data: string;
  }

  interface DeniedEvent extends TopicEvent {
    readonly reason: string;
  }

  interface Events {
    open: Event;
    message: MessageEvent;
    close: CloseEvent;
    error: Event;
    gap: TopicEvent;
  }

  interface SubscriptionEvents {
    message: MessageEvent;
    subscribed: SubscribedEvent;
    denied: DeniedEvent;
    gap: TopicEvent;
  }

  /** A topic that the page is in, or wants to be in. It gets the topic's messages first, then the `Swio` does. */
  interface Subscription extends EventTarget {
    readonly topic: string;
    /** Pending while there is no session. After a denial the server is only asked again by another `subscribe`. */
    readonly state: "pending" | "subscribed" | "denied" | "unsubscribed";
    /** The id from which it continues after a reconnect; empty if the topic has no history. */
    readonly lastEventId: string;
    /** Sent to the server each time that it is asked; may be changed, up to 4,096 bytes. */
    data: string;
    onmessage: ((event: MessageEvent) => void) | null;
    /** The page is in the topic, again after each reconnect. What it missed came before this. */
    onsubscribed: ((event: SubscribedEvent) => void) | null;
    ondenied: ((event: DeniedEvent) => void) | null;
    /** Messages were missed and can't be recovered. */
    ongap: ((event: TopicEvent) => void) | null;
    unsubscribe(): void;

    addEventListener<K extends keyof SubscriptionEvents>(
      type: K, listener: (event: SubscriptionEvents[K]) => void, options?: boolean | AddEventListenerOptions): void;
    /** Messages with an event name. */
    addEventListener(
      type: string, listener: (event: MessageEvent) => void, options?: boolean | AddEventListenerOptions): void;
    removeEventListener<K extends keyof SubscriptionEvents>(
      type: K, listener: (event: SubscriptionEvents[K]) => void, options?: boolean | EventListenerOptions): void;
    removeEventListener(
      type: string, listener: (event: MessageEvent) => void, options?: boolean | EventListenerOptions): void;
  }
}
