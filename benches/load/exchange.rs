//! What is in the messages, which of them are under way, and which is due where. A closed loop: a sender's next
//! message waits until one of its window has reached everybody it is for.

use crate::options::{Mode, Plan, SIZE_MIN};
use std::collections::VecDeque;
use std::time::Instant;
use swio::Opcode;
use swio::bench::{self, ServerHeader};

/// Four different bytes, so that a mask applied out of step shows.
pub(crate) const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x5d];
/// So many places in the pattern can a message's letters start at.
const STARTS_BITS: u32 = 10;

pub(crate) struct Exchange {
    plan: Plan,
    /// How many get each message: all, or in echo the sender alone.
    receivers: usize,
    /// How many each connection gets messages of.
    heard: usize,
    senders: Vec<Sender>,
    /// The sequence number that comes next, for each connection and each of those.
    due: Vec<u32>,
    pattern: Vec<u8>,
    payload: Vec<u8>,
    /// Whether new messages are sent at all.
    pub(crate) is_sending: bool,
    /// Senders whose window has got room.
    pub(crate) ready: Vec<usize>,
    /// Messages that have not reached all yet.
    pub(crate) under_way: usize,
    pub(crate) deliveries: u64,
    /// Seconds, from before a message's write until its last receiver has read it.
    pub(crate) latencies: Vec<f64>,
}

#[derive(Clone, Default)]
struct Sender {
    next: u32,
    /// Oldest first: how many still have to get it, and when it was sent.
    under_way: VecDeque<(usize, Instant)>,
}

impl Exchange {
    pub(crate) fn new(plan: &Plan) -> Exchange {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let letter = || {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            b'0' + (random >> 40) as u8 % 75
        };
        let is_fan_out = plan.mode == Mode::FanOut;
        let (receivers, heard) = if is_fan_out { (plan.connections, plan.senders) } else { (1, 1) };
        Exchange {
            plan: plan.clone(),
            receivers,
            heard,
            senders: vec![Sender::default(); plan.senders],
            due: vec![0; plan.connections * heard],
            pattern: std::iter::repeat_with(letter).take(plan.size + (1 << STARTS_BITS)).collect(),
            payload: Vec::new(),
            is_sending: false,
            ready: Vec::new(),
            under_way: 0,
            deliveries: 0,
            latencies: Vec::new(),
        }
    }

    /// Appends the frames that the sender's window has room for.
    pub(crate) fn send(&mut self, from: usize, out: &mut Vec<u8>) {
        let now = Instant::now();
        while self.is_sending && self.senders[from].under_way.len() < self.plan.window {
            self.write_payload((from as u64) << 32 | u64::from(self.senders[from].next));
            bench::encode_masked(Opcode::Text, KEY, &self.payload, out);
            self.senders[from].next += 1;
            self.senders[from].under_way.push_back((self.receivers, now));
            self.under_way += 1;
        }
    }

    /// Checks a data frame that came to connection `to`.
    pub(crate) fn receive(&mut self, to: usize, frame: ServerHeader, payload: &[u8]) -> Result<(), String> {
        if !frame.fin || frame.opcode != Opcode::Text || payload.len() != self.plan.size {
            return Err(format!("{frame:?} came instead of one text of {} bytes", self.plan.size));
        }
        let digits = str::from_utf8(&payload[..SIZE_MIN]).unwrap_or_default();
        let number = u64::from_str_radix(digits, 16).unwrap_or(u64::MAX);
        self.write_payload(number);
        if payload != self.payload {
            return Err("a message came back changed".into());
        }
        let (from, sequence) = ((number >> 32) as usize, number as u32);
        let heard = if self.plan.mode == Mode::FanOut { from } else { from.wrapping_sub(to) };
        if heard >= self.heard {
            return Err(format!("a message of connection {from} does not belong here"));
        }
        let due = &mut self.due[to * self.heard + heard];
        let sender = &mut self.senders[from];
        if sequence != *due || sequence >= sender.next {
            return Err(format!("message {sequence} of {from} where {due} was due of {}", sender.next));
        }
        *due += 1;
        self.deliveries += 1;
        let at = sender.under_way.len() - (sender.next - sequence) as usize;
        sender.under_way[at].0 -= 1;
        if sender.under_way[at].0 == 0 {
            // The oldest one: whoever got it has got those before it.
            let (_, sent) = sender.under_way.pop_front().expect("it was just looked at");
            self.latencies.push(sent.elapsed().as_secs_f64());
            self.under_way -= 1;
            self.ready.push(from);
        }
        Ok(())
    }

    fn write_payload(&mut self, number: u64) {
        let digit = |place| b"0123456789abcdef"[(number >> (4 * place)) as usize & 15];
        let start = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - STARTS_BITS)) as usize;
        self.payload.clear();
        self.payload.extend((0..SIZE_MIN).rev().map(digit));
        self.payload.extend_from_slice(&self.pattern[start..start + self.plan.size - SIZE_MIN]);
    }
}
