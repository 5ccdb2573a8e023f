//! What a million connections cost besides their messages:
//! `cargo bench -p swio-benches --bench scale [-- --quick]`.
//!
//! `timers with … connections` is the wheel that holds one deadline for each, spread over 25 s (the default
//! `ping_interval`). Each operation takes the same steps however many there are; the thousand beside the
//! million shows what of the cost is memory that does not fit the caches. Throughput counts deadlines.
//!
//! - `put off`: a deadline is set to later, which only stores it.
//! - `file anew`: a deadline is taken out of its list and put into another, as when it is set to earlier.
//! - `tick`: 64 ms pass; those whose deadline has come are given the next. Of a million that is 2,557.
//! - `all in one tick`: the same where all are due at once, as after a suspend: how long that holds the loop.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use std::hint::black_box;
use std::time::Duration;
use swio::bench::Deadlines;

/// 25 s in ticks of 64 ms.
const TICKS: u32 = 391;

fn main() {
    let mut criterion = Criterion::default()
        .without_plots()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    for (name, count) in [("1,000", 1_000), ("1,000,000", 1_000_000)] {
        let mut group = criterion.benchmark_group(format!("timers with {name} connections"));
        set(&mut group, count);
        ticks(&mut group, "tick", filled(count, |index| 2 + scattered(index) % TICKS), count / TICKS, TICKS);
        ticks(&mut group, "all in one tick", filled(count, |_| 2), count, 1);
    }
    criterion.final_summary();
}

fn filled(count: u32, deadline: impl Fn(u32) -> u32) -> Deadlines {
    let mut deadlines = Deadlines::new(count as usize);
    for index in 1..=count {
        deadlines.set(index, deadline(index));
    }
    deadlines
}

/// Another number for each number, far from its neighbours'.
fn scattered(number: u32) -> u32 {
    (u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

/// Of connections in no order.
fn set(group: &mut BenchmarkGroup<'_, WallTime>, count: u32) {
    group.throughput(Throughput::Elements(1));
    let mut deadlines = filled(count, |index| 2 + scattered(index) % TICKS);
    let mut number = 0;
    group.bench_function("put off", |b| {
        b.iter(|| {
            number += 1;
            deadlines.set(black_box(1 + scattered(number) % count), 3 * TICKS);
        });
    });
    let mut deadlines = filled(count, |index| 2 + scattered(index) % TICKS);
    let mut number = 0;
    group.bench_function("file anew", |b| {
        b.iter(|| {
            number += 1;
            let index = black_box(1 + scattered(number) % count);
            deadlines.clear(index);
            deadlines.set(index, 2 + scattered(!number) % TICKS);
        });
    });
}

/// Ticks with `due` deadlines in each, which come again after `period`.
fn ticks(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    mut deadlines: Deadlines,
    due: u32,
    period: u32,
) {
    let (mut now, mut expired, mut came) = (1, Vec::new(), 0);
    group.throughput(Throughput::Elements(u64::from(due)));
    group.bench_function(name, |b| {
        b.iter(|| {
            now += 1;
            deadlines.advance(now, &mut expired);
            came += expired.len() as u64;
            for index in expired.drain(..) {
                deadlines.set(index, now + period);
            }
        });
    });
    // All of them once in each period, however often it was turned.
    let rounds = u64::from((now - 1) / period);
    assert!(came >= rounds * u64::from(due * period), "{came} in {rounds} rounds");
}
