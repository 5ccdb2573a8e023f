//! How fast a peer sends: two token buckets in the five bytes that a connection has to spare. A level is the used
//! share of the burst, so that it drains at the same pace whatever the rate, and needs no clock but the tick of the
//! last read.

use std::time::Duration;

/// How long a peer may send at any speed, when it has been quiet before.
pub(crate) const BURST: Duration = Duration::from_secs(2);

const MESSAGES_FULL: u32 = (1 << 24) - 1;
const BYTES_FULL: u32 = (1 << 16) - 1;

/// What one connection has used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meter {
    // Bytes, for their alignment: 24 and 16 bits.
    messages: [u8; 3],
    bytes: [u8; 2],
}

/// What a message and a byte take of a bucket, worked out beforehand.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    message: u32,
    /// In 2^-32ths.
    byte: u64,
}

impl Rates {
    pub(crate) fn new(messages_per_second: Option<u32>, bytes_per_second: Option<u64>) -> Rates {
        let share = |full: u64, rate: u64| (full / rate.saturating_mul(BURST.as_secs())).max(1);
        let message = messages_per_second.map_or(0, |rate| share(MESSAGES_FULL.into(), rate.into()));
        let byte = bytes_per_second.map_or(0, |rate| share(u64::from(BYTES_FULL) << 32, rate));
        Rates { message: message as u32, byte }
    }
}

impl Meter {
    /// Lets time go by.
    pub(crate) fn drain(&mut self, ticks: u32, tick: Duration) {
        let share = |full: u32| {
            let drained = u64::from(full) * u64::from(ticks) * tick.as_millis() as u64;
            (drained / BURST.as_millis() as u64).try_into().unwrap_or(u32::MAX)
        };
        self.set_messages(self.messages().saturating_sub(share(MESSAGES_FULL)));
        self.set_bytes(self.bytes().saturating_sub(share(BYTES_FULL)));
    }

    /// Takes `count` messages: whether there was room for them.
    pub(crate) fn take_messages(&mut self, count: u32, rates: &Rates) -> bool {
        let level = u64::from(self.messages()) + u64::from(count) * u64::from(rates.message);
        let is_within = level <= MESSAGES_FULL.into();
        if is_within {
            self.set_messages(level as u32);
        }
        is_within
    }

    /// Takes what counts as so many messages, but no more than an eighth of the burst: it was asked for by a message
    /// that was within the rate.
    pub(crate) fn charge_messages(&mut self, count: u64, rates: &Rates) {
        let share = count.saturating_mul(rates.message.into()).min(u64::from(MESSAGES_FULL) / 8);
        self.set_messages((self.messages() + share as u32).min(MESSAGES_FULL));
    }

    /// Forgets the messages so far.
    pub(crate) fn forget_messages(&mut self) {
        self.set_messages(0);
    }

    /// Takes the bytes of one read, which are at least a 65,536th of the burst: whether there was room for them.
    pub(crate) fn take_bytes(&mut self, len: usize, rates: &Rates) -> bool {
        let share = (len as u128 * u128::from(rates.byte)).div_ceil(1 << 32);
        let level = u128::from(self.bytes()) + share;
        let is_within = level <= BYTES_FULL.into();
        if is_within {
            self.set_bytes(level as u32);
        }
        is_within
    }

    fn messages(self) -> u32 {
        let [a, b, c] = self.messages;
        u32::from_le_bytes([a, b, c, 0])
    }

    fn set_messages(&mut self, level: u32) {
        let [a, b, c, _] = level.to_le_bytes();
        self.messages = [a, b, c];
    }

    fn bytes(self) -> u32 {
        u16::from_le_bytes(self.bytes).into()
    }

    fn set_bytes(&mut self, level: u32) {
        let [a, b, ..] = level.to_le_bytes();
        self.bytes = [a, b];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(64);

    /// How many messages fit, one at a time.
    fn fitting(meter: &mut Meter, rates: &Rates) -> u32 {
        (0..).find(|_| !meter.take_messages(1, rates)).expect("it fills up")
    }

    #[test]
    fn it_takes_five_bytes_of_a_connection() {
        assert_eq!((size_of::<Meter>(), align_of::<Meter>()), (5, 1));
    }

    #[test]
    fn a_burst_is_two_seconds_worth_and_comes_back_within_two_seconds() {
        for rate in [1, 2, 3, 10, 1_000, 2_500, 100_000] {
            let rates = Rates::new(Some(rate), None);
            let mut meter = Meter::default();
            let burst = fitting(&mut meter, &rates);
            assert!((2 * rate..=2 * rate + rate / 40).contains(&burst), "{burst} at {rate}");
            meter.drain(31, TICK);
            assert!(fitting(&mut meter, &rates) < burst, "{rate}");
            meter.drain(32, TICK);
            assert_eq!(fitting(&mut meter, &rates), burst, "{rate}");
        }
    }

    #[test]
    fn who_keeps_to_the_rate_is_never_over_it_and_who_does_not_soon_is() {
        for rate in [50, 1_000, 40_000] {
            let rates = Rates::new(Some(rate), Some(u64::from(rate) * 100));
            let sent = |of_a_thousand: u32| {
                let (mut meter, mut owed) = (Meter::default(), 0);
                (0..10_000)
                    .take_while(|_| {
                        meter.drain(1, TICK);
                        owed += rate * 64 / 10 * (of_a_thousand / 10);
                        let count = owed / 10_000;
                        owed %= 10_000;
                        meter.take_messages(count, &rates) && meter.take_bytes(count as usize * 100, &rates)
                    })
                    .count()
            };
            assert_eq!(sent(990), 10_000, "{rate}");
            assert!(sent(1_200) < 200, "{rate}");
        }
    }

    #[test]
    fn what_is_refused_takes_nothing_and_numbers_of_any_size_are_safe() {
        let rates = Rates::new(Some(10), Some(1_000));
        let mut meter = Meter::default();
        assert!(!meter.take_messages(21, &rates) && !meter.take_messages(u32::MAX, &rates));
        assert!(!meter.take_bytes(2_001, &rates) && !meter.take_bytes(usize::MAX, &rates));
        assert_eq!(meter, Meter::default());
        for _ in 0..7 {
            meter.charge_messages(u64::MAX, &rates);
        }
        assert!(meter.take_messages(2, &rates) && !meter.take_messages(1, &rates));
        meter.charge_messages(1, &rates);
        meter.drain(u32::MAX, TICK);
        meter.charge_messages(1, &rates);
        assert!(meter.take_messages(19, &rates) && !meter.take_messages(1, &rates));
        meter.drain(u32::MAX, TICK);
        assert!(meter.take_messages(20, &rates) && meter.take_bytes(2_000, &rates));
        assert!(!meter.take_messages(1, &rates) && !meter.take_bytes(1, &rates));
        meter.drain(u32::MAX, TICK);
        assert_eq!(meter, Meter::default());
        for rates in [Rates::new(Some(u32::MAX), Some(u64::MAX)), Rates::new(Some(1), Some(1))] {
            assert!(meter.take_messages(1, &rates) && meter.take_bytes(1, &rates));
        }
    }

    #[test]
    fn without_a_limit_nothing_is_used_up() {
        let (rates, mut meter) = (Rates::new(None, None), Meter::default());
        assert!(meter.take_messages(u32::MAX, &rates) && meter.take_bytes(usize::MAX, &rates));
        assert_eq!(meter, Meter::default());
    }

    #[test]
    fn many_small_reads_do_not_get_by() {
        let (rates, mut meter) = (Rates::new(None, Some(32 << 20)), Meter::default());
        let reads = (0..).find(|_| !meter.take_bytes(1, &rates)).expect("it fills up");
        assert_eq!(reads, BYTES_FULL);
    }
}
