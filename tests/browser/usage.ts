// Code of a page's as it would be written with the types of swio.js: that it compiles is the test. What is marked must not.

const transports = ["event-stream", "long-polling"] as const;
const lastEventIds = { news: "k3f0.1-17" };
const swio = new Swio("/", { transports, attempts: 5, lastEventIds, reconnect: ({ code }) => code !== 1000 });

swio.onopen = () => console.log(swio.transport?.length, swio.url, swio.protocol, swio.bufferedAmount);
swio.onmessage = ({ data, topic, lastEventId }) => console.log(data, topic.length, lastEventId.length);
swio.onclose = ({ code, reason, willReconnect, retryIn, unconfirmed }) => {
  if (willReconnect) console.log(code, reason, retryIn === null ? 0 : retryIn / 1000);
  for (const message of unconfirmed) swio.send(message);
};
swio.addEventListener("close", (event) => console.log(event.retryIn));
const showPrice = (event: Swio.MessageEvent) => console.log(event.data, event.topic);
swio.addEventListener("price", showPrice);
swio.removeEventListener("price", showPrice);
swio.binaryType = "arraybuffer";
swio.send("text");
swio.send(Uint8Array.of(1, 2));
swio.send(new Blob(["x"]));

const news: Swio.Subscription = swio.subscribe("news", { lastEventId: "k3f0.1-17", data: "token" });
news.ondenied = ({ topic, reason }) => console.log(topic, reason);
news.addEventListener("gap", ({ topic }) => console.log(topic, news.state === "subscribed", news.lastEventId));
news.addEventListener("message", showPrice);
news.removeEventListener("message", showPrice);
news.unsubscribe();
swio.unsubscribe("news");
if (swio.readyState === Swio.OPEN) swio.close(4000, "bye");
swio.reconnect();

// @ts-expect-error: no such transport
new Swio("/", { transports: ["carrier-pigeon"] });
// @ts-expect-error: it is an id of one topic
new Swio("/", { lastEventIds: "k3f0.1-17" });
// @ts-expect-error: not a message
swio.send(5);
// @ts-expect-error: the session says that
swio.readyState = 1;

// As a WebSocket: code for one takes the other.
const plain: Pick<WebSocket, "url" | "readyState" | "bufferedAmount" | "binaryType" | "close"> = swio;
console.log(plain.url);
