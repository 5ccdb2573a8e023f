//! The WebSocket codec, and tungstenite's beside it in the same run:
//! `cargo bench --all-features --bench codec [-- --quick]`.
//!
//! Both decode the same bytes (ASCII text) from memory, read in pieces of the same size (tungstenite's
//! default of 128 KiB), and make the same checks: mask present, reserved bits, lengths, size limits, UTF-8.
//! Both encode the same messages and hand the finished bytes to a sink that throws them away. tungstenite
//! is driven through its public `WebSocket`, which is its codec with a buffer on either side; its messages
//! are cheap clones of one payload, where ours copies from a slice. What it does that ours does not: a
//! received message owns its bytes (a share of the read buffer), ours borrows them.
//!
//! Wall time moves with the machine, so the end prints ratios, both sides measured in turns.

use criterion::{Criterion, Throughput};
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};
use swio::Opcode;
use swio::bench::{self, Decoder};
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
    }
}

fn ratios() {
    println!("tungstenite's time as a multiple of swio's (median of rounds in which both took turns):");
    for (name, len, count) in BATCHES {
        let wire = masked_batch(len, count);
        let (mut ours, mut theirs) = (OurDecoder::new(&wire), TheirDecoder::new(&wire));
        let decode = ratio(|| ours.decode(), || theirs.decode());
        let (mut ours, mut theirs) = (OurEncoder::new(len), TheirEncoder::new(len));
        let encode = ratio(|| ours.encode(count), || theirs.encode(count));
        println!("  {name:<12}  decode {decode:.2}  encode {encode:.2}");
    }
}

fn ratio<R>(mut ours: impl FnMut() -> R, mut theirs: impl FnMut() -> R) -> f64 {
    const ROUNDS: usize = 301;
    const CALLS: u32 = 16;
    fn time<R>(call: &mut impl FnMut() -> R) -> Duration {
        let start = Instant::now();
        for _ in 0..CALLS {
            black_box(call());
        }
        start.elapsed()
    }
    let mut ratios: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let ours = time(&mut ours);
            time(&mut theirs).as_secs_f64() / ours.as_secs_f64()
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    ratios[ROUNDS / 2]
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
