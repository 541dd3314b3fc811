//! What one SOCKS5 handshake costs: `cargo bench -p socks-wire`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use socks_wire::{ServerHandshake, Step, v5};

const REQUEST: &[u8] = b"\x05\x01\x00\x03\x0bexample.i2p\x00\x50";

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("socks5");
    group.throughput(Throughput::Elements(1));
    group.bench_function("request", |bencher| {
        bencher.iter(|| v5::Request::parse(black_box(REQUEST)).map_err(black_box));
    });
    group.bench_function("handshake", |bencher| {
        bencher.iter(|| {
            let mut handshake = ServerHandshake::new();
            let step = handshake.step(black_box(b"\x05\x01\x00"));
            assert!(matches!(step, Step::Send { .. }));
            let step = handshake.step(black_box(REQUEST));
            assert!(matches!(step, Step::Request { .. }));
        });
    });
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
