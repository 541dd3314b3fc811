//! Measures the time of messages and handshakes. `cargo xtask instructions` counts the instructions of the same works. See
//! `../README.md`.
#![allow(missing_docs, reason = "criterion's macros")]

mod work;
mod works;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use crate::works::WORKS;

fn time(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("socks-wire");
    group.throughput(Throughput::Elements(1));
    for work in WORKS {
        work.check();
        group.bench_function(work.name, |bencher| bencher.iter(work.run));
    }
    group.finish();
}

criterion_group!(benches, time);
criterion_main!(benches);
