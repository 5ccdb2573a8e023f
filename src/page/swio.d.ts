// Types of swio.js, and what is to be known for using it. As a script it gives the global `Swio`; bundlers take it as a
// CommonJS module.

export = Swio;
export as namespace Swio;

/**
 * A session with a swio server that has a WebSocket's surface, comes back when it is lost, and has topics. It goes over
 * a WebSocket or, where none comes through, over an event stream with POST, or over long polling.
 *
 * ```js
 * const swio = new Swio("/");
 * swio.onmessage = ({ data }) => show(data);
 * swio.subscribe("news").onmessage = ({ data }) => showNews(data);
 * swio.send("hello");
 * ```
 *
 * By HTTP/1.1 browsers open six connections to a host, for all tabs together, and each tab without a WebSocket holds
 * one of them: of six such tabs none can send, and a seventh does not load. Behind a proxy that speaks HTTP/2 to
 * browsers there is no such limit.
 *
 * Events beside a WebSocket's: messages that have an event name come under that name, `gap` says that some of a topic
 * was missed and is not known any more.
 */
declare class Swio extends EventTarget {
  /**
   * `url`: as for WebSocket, or http(s), or relative to the page. Its query reaches the server. Throws where it is no
   * such URL, or a transport has another name.
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
  /** CONNECTING also while it waits to come back, CLOSED only for good. */
  readonly readyState: 0 | 1 | 2 | 3;
  readonly protocol: "swio.1" | "";
  /** Which way is in use; null while none is. */
  readonly transport: Swio.Transport | null;
  /** Bytes that wait here to be sent. */
  readonly bufferedAmount: number;
  binaryType: BinaryType;

  /** A session stands: at the first time, and each time it has come back. */
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: Swio.MessageEvent) => void) | null;
  /**
   * A session was lost, or a round of tries was in vain, or it is over. Browsers don't tell a page why nothing could be
   * opened, but for long polling: where the server refused that, the code is 1006 and the reason `status 403`, or
   * whatever it was. To turn a page away for good, let it in and disconnect it with a code of 4000 or more.
   */
  onclose: ((event: Swio.CloseEvent) => void) | null;
  onerror: ((event: Event) => void) | null;
  ongap: ((event: Swio.TopicEvent) => void) | null;

  /**
   * Sends a message. While no session stands it is kept, and sent when one does. Throws a `QuotaExceededError` where
   * more than `queueBytesMax` would wait. When all is over it does nothing, as a WebSocket.
   */
  send(data: string | Blob | ArrayBuffer | ArrayBufferView): void;
  /** Ends it for good, behind all that was sent. `code`: 1000, or 3000 to 4999; `reason`: up to 123 bytes. */
  close(code?: number, reason?: string): void;
  /** Drops the session, or ends the wait for the next try, and tries again at once. */
  reconnect(): void;
  /**
   * Asks to be in a topic, now and whenever a session stands. Gives the same again for the same topic. Throws where the
   * name is empty or over 1,024 bytes, or the data over 4,096.
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

  /** Times are in milliseconds. */
  interface Options {
    /** Those that are tried, the best first. Default: all three. */
    transports?: readonly Transport[];
    /** For each of them, until the session must stand. Default 4000. */
    connectTimeout?: number;
    /** A WebSocket that was silent for so long is asked for a sign of life. Default 25,000. */
    silenceTimeout?: number;
    /** For that sign, for the answer to a POST, and for that to a poll beyond its hold. Default 10,000. */
    answerTimeout?: number;
    /** Waits before tries are random, up to `waitMin` first, then twice as much each time. Default 500. */
    waitMin?: number;
    /** What waits grow to. Default 30,000. */
    waitMax?: number;
    /** How often it tries again in vain until it gives up. Default: Infinity. */
    attempts?: number;
    /** Over it `send` throws. Default 4 MiB. */
    queueBytesMax?: number;
    /**
     * By topic, the id of the last message that the page has from elsewhere: where to go on in the topics that the
     * server puts the page into by itself. Where some are named, others begin with a gap. Default: from now on in all.
     */
    lastEventIds?: Readonly<Record<string, string>>;
    /**
     * Whether to come back. By default where the connection was lost or the server goes, fails or has no room (1001,
     * 1005, 1006, 1011 to 2999), not where it doesn't want or understand this page (1000, 1002, 1008, 4000 and others).
     */
    reconnect?: (event: globalThis.CloseEvent) => boolean;
  }

  interface SubscribeOptions {
    /** Of a message that the page has from elsewhere; what came after it is sent, where the topic has a history. */
    lastEventId?: string;
    /** What the server is told with the question, such as a token. */
    data?: string;
  }

  interface MessageEvent extends globalThis.MessageEvent<any> {
    /** Where it was published; empty where it was pushed to this page alone. */
    readonly topic: string;
  }

  interface CloseEvent extends globalThis.CloseEvent {
    readonly willReconnect: boolean;
    /** Milliseconds until the next try; null where there is none. */
    readonly retryIn: number | null;
    /**
     * What was sent and may not have arrived, in order; what is not sent for sure is kept and sent again, unless all is
     * over. A page may send these again where the server knows messages apart.
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

  /** A topic that the page is in, or wants to be. Its messages come here, and then to the `Swio`. */
  interface Subscription extends EventTarget {
    readonly topic: string;
    /** Pending while no session stands. Who was denied is not asked for again, until it subscribes anew. */
    readonly state: "pending" | "subscribed" | "denied" | "unsubscribed";
    /** From where it goes on after a cut; empty where the topic has no history. */
    readonly lastEventId: string;
    /** Sent along each time that the server is asked; it may be changed, up to 4,096 bytes. */
    data: string;
    onmessage: ((event: MessageEvent) => void) | null;
    /** Each time the server has it in the topic, behind what it had missed. */
    onsubscribed: ((event: SubscribedEvent) => void) | null;
    ondenied: ((event: DeniedEvent) => void) | null;
    /** Some messages were missed and are not known any more. */
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
