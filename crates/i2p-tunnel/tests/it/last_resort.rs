//! The last resort of a lookup, such as a jump service, while the router goes away.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use i2p_name::{HostName, I2pName};
use i2p_sam::{BackOff, Bridge};
use i2p_tunnel::{
    Dial, Failure, IsolationKey, LastResort, OpenStreams, PoolOptions, Resolver, SamDialler, SessionPool,
};
use sam_testkit::{Endpoint, TestBridge};
use tokio::time::sleep;

/// Answers with this destination, but fails once because the session is lost.
struct Interrupted {
    destination: I2pName,
    asked: AtomicUsize,
}

impl LastResort for Interrupted {
    fn find<'a>(
        &'a self,
        _: &'a HostName,
        streams: &'a dyn OpenStreams,
    ) -> Pin<Box<dyn Future<Output = Result<Option<I2pName>, Failure>> + Send + 'a>> {
        Box::pin(async move {
            if self.asked.fetch_add(1, Relaxed) > 0 {
                return Ok(Some(self.destination.clone()));
            }
            while !streams.are_lost() {
                sleep(Duration::from_millis(1)).await;
            }
            Err(Failure::RouterUnavailable)
        })
    }
}

#[tokio::test]
async fn a_lookup_that_loses_its_session_is_made_again_by_the_next_one() {
    let mut bridge = TestBridge::start().await;
    let destination = I2pName::parse(&bridge.host("far.i2p", Endpoint::Echo)).unwrap();
    let last_resort = Arc::new(Interrupted { destination, asked: AtomicUsize::new(0) });
    let back_off = BackOff { first: Duration::from_millis(10), ..BackOff::default() };
    let pool =
        SessionPool::new(Bridge::new(bridge.address()), PoolOptions { back_off, ..PoolOptions::default() });
    let resolver = Resolver::default().with_last_resort(Arc::clone(&last_resort) as Arc<dyn LastResort>);
    let dialler = SamDialler::new(pool).with_resolver(resolver);
    let name = I2pName::parse("wanted.i2p").unwrap();
    let key = IsolationKey::default();
    let dialled = dialler.dial(&key, &name, 80);
    let restart = async {
        while last_resort.asked.load(Relaxed) == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        bridge.restart().await;
    };
    let (dialled, ()) = tokio::join!(dialled, restart);
    assert!(dialled.is_ok(), "{:?}", dialled.err());
    assert_eq!(last_resort.asked.load(Relaxed), 2);
}
