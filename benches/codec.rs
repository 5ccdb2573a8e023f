//! The WebSocket codec, and tungstenite's and fastwebsockets' beside it in the same run:
//! `cargo bench -p swio-benches --bench codec [-- --quick]`.
//!
//! All decode the same bytes (ASCII text) from memory and encode the same messages into a sink that throws
//! the bytes away. The two peers are driven through their public `WebSocket`, which is their codec with its
//! buffers; a message that they yield owns its bytes (a share of the read buffer), ours borrows them.
//!
//! - tungstenite reads in pieces of the same size (its default of 128 KiB) and makes the same checks: mask
//!   present, reserved bits, lengths, size limits, UTF-8. It writes clones of one payload that cost no copy
//!   until they are in its buffer, which it hands over when it is flushed.
//! - fastwebsockets is asynchronous: its futures are polled by hand, without a runtime, and are never pending
//!   but at the end of the bytes. It chooses its pieces itself: 8 KiB at first, and from then on what is left
//!   of a buffer that grows with the messages. It checks reserved bits, size limits and, by the same crate as
//!   ours, UTF-8, but neither that the mask is there nor that lengths are in their shortest form. It hands
//!   over each message by a write of its own, which costs nothing here; it is told to copy as the others do
//!   (`set_writev(false)`), where by default it would hand over a large payload as it is. So do we on real
//!   sockets, outside of the codec.
//!
//! Wall time moves with the machine, so the end prints ratios, all sides measured in turns.

use criterion::{Criterion, Throughput};
use fastwebsockets::{OpCode, Payload};
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use swio::Opcode;
use swio::bench::{self, Decoder};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const READ_BYTES: usize = 128 << 10;
/// Name, bytes of a message, messages in a batch.
const BATCHES: [(&str, usize, usize); 3] =
    [("1,000 x 64 B", 64, 1_000), ("16 KiB", 16 << 10, 1), ("1 MiB", 1 << 20, 1)];

fn main() {
    let mut criterion = Criterion::default()
        .without_plots()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(800))
        .sample_size(20)
        .configure_from_args();
    mask(&mut criterion);
    utf8(&mut criterion);
    decode(&mut criterion);
    encode(&mut criterion);
    criterion.final_summary();
    // Not where only some benches, a list or a trial run were asked for.
    if std::env::args().skip(1).all(|argument| ["--bench", "--quick"].contains(&&*argument)) {
        ratios();
    }
}

fn mask(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mask");
    for len in [64, 1 << 10, 64 << 10] {
        let mut data = vec![b'x'; len];
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(format!("{len} B"), |b| b.iter(|| bench::mask(black_box(&mut data), KEY)));
    }
}

fn utf8(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("utf8");
    for (kind, text) in [("ascii", "The quick brown fox. "), ("mixed", "naïve κόσμε 漢字 🎉 and so on, ")]
    {
        for len in [64, 64 << 10] {
            let text = cut(text, len);
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_function(format!("{kind} {len} B"), |b| {
                b.iter(|| assert!(bench::is_utf8(black_box(text.as_bytes()))));
            });
        }
    }
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode text");
    for (name, len, count) in BATCHES {
        let wire = masked_batch(len, count);
        group.throughput(Throughput::Bytes((len * count) as u64));
        let mut ours = OurDecoder::new(&wire);
        group.bench_function(format!("{name}, swio"), |b| b.iter(|| assert_eq!(ours.decode(), count)));
        let mut theirs = TheirDecoder::new(&wire);
        group.bench_function(format!("{name}, tungstenite"), |b| {
            b.iter(|| assert_eq!(theirs.decode(), count));
        });
        let mut fast = FastDecoder::new(&wire);
        group.bench_function(format!("{name}, fastwebsockets"), |b| {
            b.iter(|| assert_eq!(fast.decode(), count));
        });
    }
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode text");
    for (name, len, count) in BATCHES {
        group.throughput(Throughput::Bytes((len * count) as u64));
        let mut ours = OurEncoder::new(len);
        group.bench_function(format!("{name}, swio"), |b| b.iter(|| ours.encode(count)));
        let mut theirs = TheirEncoder::new(len);
        group.bench_function(format!("{name}, tungstenite"), |b| b.iter(|| theirs.encode(count)));
        let mut fast = FastEncoder::new(len);
        group.bench_function(format!("{name}, fastwebsockets"), |b| b.iter(|| fast.encode(count)));
    }
}

fn ratios() {
    println!("a peer's time as a multiple of swio's (median of rounds in which all took turns):");
    println!("  {:<12}  {:>11}  {:>14}", "", "tungstenite", "fastwebsockets");
    for (name, len, count) in BATCHES {
        let wire = masked_batch(len, count);
        let (mut ours, mut theirs) = (OurDecoder::new(&wire), TheirDecoder::new(&wire));
        let mut fast = FastDecoder::new(&wire);
        let [theirs, fast] = ratio([&mut || ours.decode(), &mut || theirs.decode(), &mut || fast.decode()]);
        println!("  {name:<12}  decode {theirs:>4.2}  decode {fast:>7.2}");
        let (mut ours, mut theirs) = (OurEncoder::new(len), TheirEncoder::new(len));
        let mut fast = FastEncoder::new(len);
        let [theirs, fast] =
            ratio([&mut || ours.encode(count), &mut || theirs.encode(count), &mut || fast.encode(count)]);
        println!("  {name:<12}  encode {theirs:>4.2}  encode {fast:>7.2}");
    }
}

/// The times of the second and the third as multiples of the first's.
fn ratio<R>(mut calls: [&mut dyn FnMut() -> R; 3]) -> [f64; 2] {
    const ROUNDS: usize = 201;
    const CALLS: u32 = 16;
    let mut ratios = [const { Vec::new() }; 2];
    for _ in 0..ROUNDS {
        let times = calls.each_mut().map(|call| {
            let start = Instant::now();
            for _ in 0..CALLS {
                black_box(call());
            }
            start.elapsed().as_secs_f64()
        });
        ratios[0].push(times[1] / times[0]);
        ratios[1].push(times[2] / times[0]);
    }
    ratios.map(|mut ratios| {
        ratios.sort_by(f64::total_cmp);
        ratios[ROUNDS / 2]
    })
}

/// Reads pieces into its one buffer and decodes them there, as a reactor does.
struct OurDecoder {
    memory: Memory,
    buffer: Vec<u8>,
    decoder: Decoder,
}

impl OurDecoder {
    fn new(wire: &[u8]) -> OurDecoder {
        OurDecoder { memory: Memory::new(wire), buffer: vec![0; READ_BYTES], decoder: Decoder::default() }
    }

    /// How many messages there were.
    fn decode(&mut self) -> usize {
        self.memory.at = 0;
        let mut messages = 0;
        while let Ok(len) = self.memory.read(&mut self.buffer) {
            self.decoder.feed(&mut self.buffer[..len], |payload| {
                black_box(payload);
                messages += 1;
            });
        }
        messages
    }
}

struct TheirDecoder(WebSocket<Memory>);

impl TheirDecoder {
    fn new(wire: &[u8]) -> TheirDecoder {
        TheirDecoder(WebSocket::from_raw_socket(Memory::new(wire), Role::Server, None))
    }

    fn decode(&mut self) -> usize {
        self.0.get_mut().at = 0;
        let mut messages = 0;
        while let Ok(message) = self.0.read() {
            black_box(&message);
            messages += 1;
        }
        messages
    }
}

struct FastDecoder(fastwebsockets::WebSocket<Memory>);

impl FastDecoder {
    fn new(wire: &[u8]) -> FastDecoder {
        FastDecoder(fast_socket(wire))
    }

    fn decode(&mut self) -> usize {
        // Its stream is its own and can't be set back, so the memory does that itself.
        let mut messages = 0;
        while let Poll::Ready(message) = poll(self.0.read_frame()) {
            let message = message.expect("well-formed frames");
            assert!(message.fin && message.opcode == OpCode::Text);
            black_box(&message);
            messages += 1;
        }
        messages
    }
}

struct OurEncoder {
    payload: String,
    out: Vec<u8>,
    sink: Memory,
}

impl OurEncoder {
    fn new(len: usize) -> OurEncoder {
        OurEncoder { payload: "x".repeat(len), out: Vec::new(), sink: Memory::new(&[]) }
    }

    fn encode(&mut self, count: usize) {
        for _ in 0..count {
            bench::encode(Opcode::Text, black_box(self.payload.as_bytes()), &mut self.out);
        }
        self.sink.write_all(&self.out).expect("a sink takes all");
        self.out.clear();
    }
}

struct TheirEncoder {
    message: Message,
    socket: WebSocket<Memory>,
}

impl TheirEncoder {
    fn new(len: usize) -> TheirEncoder {
        let socket = WebSocket::from_raw_socket(Memory::new(&[]), Role::Server, None);
        TheirEncoder { message: Message::text("x".repeat(len)), socket }
    }

    fn encode(&mut self, count: usize) {
        for _ in 0..count {
            self.socket.write(black_box(&self.message).clone()).expect("a sink takes all");
        }
        self.socket.flush().expect("a sink takes all");
    }
}

struct FastEncoder {
    payload: String,
    socket: fastwebsockets::WebSocket<Memory>,
}

impl FastEncoder {
    fn new(len: usize) -> FastEncoder {
        FastEncoder { payload: "x".repeat(len), socket: fast_socket(&[]) }
    }

    fn encode(&mut self, count: usize) {
        for _ in 0..count {
            let payload = Payload::Borrowed(black_box(self.payload.as_bytes()));
            let written = poll(self.socket.write_frame(fastwebsockets::Frame::text(payload)));
            assert!(matches!(written, Poll::Ready(Ok(()))), "a sink takes all");
        }
    }
}

fn fast_socket(wire: &[u8]) -> fastwebsockets::WebSocket<Memory> {
    let role = fastwebsockets::Role::Server;
    let mut socket = fastwebsockets::WebSocket::after_handshake(Memory::new(wire), role);
    socket.set_writev(false);
    socket
}

/// Once: nobody would wake a future that is pending.
fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// A socket made of memory: gives its bytes again whenever `at` is set back, and throws away what is written.
struct Memory {
    bytes: Vec<u8>,
    at: usize,
}

impl Memory {
    fn new(bytes: &[u8]) -> Memory {
        Memory { bytes: bytes.to_vec(), at: 0 }
    }
}

impl Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = &self.bytes[self.at..];
        if rest.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = rest.len().min(buffer.len()).min(READ_BYTES);
        buffer[..len].copy_from_slice(&rest[..len]);
        self.at += len;
        Ok(len)
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(black_box(bytes).len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// At the end of the bytes it is pending once, and then begins again.
impl AsyncRead for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.at == self.bytes.len() {
            self.at = 0;
            return Poll::Pending;
        }
        let end = self.bytes.len().min(self.at + buffer.remaining().min(READ_BYTES));
        buffer.put_slice(&self.bytes[self.at..end]);
        self.at = end;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(black_box(bytes).len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn masked_batch(len: usize, count: usize) -> Vec<u8> {
    let payload = "x".repeat(len);
    let mut wire = Vec::new();
    for _ in 0..count {
        bench::encode_masked(Opcode::Text, KEY, payload.as_bytes(), &mut wire);
    }
    wire
}

/// `text` again and again, up to the last character that fits `len` bytes.
fn cut(text: &str, len: usize) -> String {
    let mut cut = text.repeat(len / text.len() + 1);
    cut.truncate(cut.floor_char_boundary(len));
    cut
}
