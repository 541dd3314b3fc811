//! Measures the lookup of a name that was looked up before. See the README beside this file.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{future::ready, hint::black_box, pin::Pin, sync::Arc, time::Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use i2p_name::{B32, HostName, I2pName};
use i2p_tunnel::{
    Failure, LookupIdentity, NameCache, NameSource, OpenStream, OpenStreams, Resolver, ResolverTimes,
};

/// The number of remembered names, nearly as many as are remembered for an identity. Lookups take them in turn.
const NAMES: u16 = 500;

/// Never used, since no name is unknown to all sources.
struct NoStreams;

impl OpenStreams for NoStreams {
    fn open<'a>(
        &'a self,
        _: &'a I2pName,
        _: u16,
    ) -> Pin<Box<dyn Future<Output = Result<OpenStream, Failure>> + Send + 'a>> {
        Box::pin(ready(Err(Failure::CommandNotSupported)))
    }
}

/// Knows all names that start with k. Any source would do: each name is looked up in it only once.
struct Known;

impl NameSource for Known {
    fn find(&self, name: &HostName) -> Option<I2pName> {
        name.as_str().starts_with('k').then(|| I2pName::B32(B32::from_hash([7; 32])))
    }
}

fn resolver(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut group = criterion.benchmark_group("resolver");
    for (what, letter) in [("known, remembered", 'k'), ("unknown, remembered", 'u')] {
        let names: Vec<HostName> =
            (0..NAMES).map(|number| format!("{letter}{number}.example.i2p").parse().unwrap()).collect();
        // Nothing expires during the measurement.
        let hour = std::time::Duration::from_secs(3600);
        let times = ResolverTimes { known: hour, unknown: hour };
        let resolver = Resolver::new(vec![Arc::new(Known)], times);
        let cache = NameCache::default();
        let identity = LookupIdentity { cache: &cache, streams: &NoStreams };
        let resolve =
            async |name: &HostName| resolver.resolve(identity, name, ready(Ok::<_, Failure>(None))).await;
        runtime.block_on(async {
            for name in &names {
                resolve(name).await.unwrap();
            }
        });
        group.bench_function(what, |bencher| {
            bencher.iter_custom(|times| {
                runtime.block_on(async {
                    let start = Instant::now();
                    for name in names.iter().cycle().zip(0..times).map(|(name, _)| name) {
                        black_box(resolve(name).await.unwrap());
                    }
                    start.elapsed()
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, resolver);
criterion_main!(benches);
