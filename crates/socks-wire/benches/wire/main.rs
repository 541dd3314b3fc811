//! Measures messages and handshakes: `cargo bench -p socks-wire` measures time, `cargo xtask instructions` counts instructions. See
//! `../README.md`.
#![allow(missing_docs, reason = "criterion's macros")]

mod count;
mod works;

use std::process::ExitCode;

use criterion::{Criterion, Throughput, criterion_group};

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

fn main() -> ExitCode {
    if let Some(code) = count::run_if_requested(WORKS) {
        return code;
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
    ExitCode::SUCCESS
}
