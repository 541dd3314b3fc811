//! `--soak MINUTES`: clients of three addresses are served while a fourth attacks, and are compared with quiet minutes.

use std::{fmt, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use sam_testkit::{Endpoint, TestBridge};
use tokio::{
    sync::Mutex,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    attacks::Aggressor,
    client::Client,
    proxy::{Proxy, Settings},
    target::Target,
};

/// The honest addresses, 127.0.0.1 and on.
const ADDRESSES: u8 = 3;
/// Clients of each address that ask one after the other.
const CLIENTS: u8 = 4;
/// Between two requests of one client.
const PAUSE: Duration = Duration::from_millis(100);
/// What attacks may cost: this many times the time of a request without them.
const MAX_SLOWDOWN: u32 = 2;
/// A quiet request takes less than the clock of a busy machine tells apart. Up to this, it does not count how many times longer
/// one takes.
const UNNOTICED: Duration = Duration::from_millis(50);
/// The most open files of the program.
const MAX_FILES: u32 = 4_096;

/// Runs the soak for this many minutes, a quarter of them quiet.
pub(crate) async fn run(target: &Target, minutes: u64) -> Result<()> {
    let bridge = TestBridge::start().await;
    bridge.host("waits.i2p", Endpoint::Echo);
    let settings = Settings { max_files: MAX_FILES, ..Settings::default() };
    let mut proxy = Proxy::start_with(target, &bridge, &settings).await?;
    let length = Duration::from_secs(minutes * 60);
    let quiet = serve(&proxy, length / 4).await;
    println!("quiet     {quiet}");
    let aggressor = tokio::spawn(Aggressor::new(proxy.address()).run());
    let attacked = serve(&proxy, length - length / 4).await;
    aggressor.abort();
    println!(
        "attacked  {attacked}; {} descriptors, {} sessions",
        proxy.descriptors(),
        bridge.open_sessions()
    );
    proxy.check_alive()?;
    ensure!(quiet.failures.is_empty(), "requests failed without an attack: {:?}", quiet.failures.first());
    ensure!(
        attacked.failures.is_empty(),
        "{} requests failed: {:?}",
        attacked.failures.len(),
        attacked.failures.first()
    );
    let limit = (quiet.percentile(99) * MAX_SLOWDOWN).max(UNNOTICED);
    ensure!(attacked.percentile(99) <= limit, "the 99th percentile is above {limit:?}");
    Ok(())
}

/// The times of requests, and why some failed.
#[derive(Default)]
struct Served {
    times: Vec<Duration>,
    failures: Vec<String>,
}

impl Served {
    /// The time within which this per cent of the requests were served.
    fn percentile(&self, percent: usize) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        times.get(times.len() * percent / 100).or(times.last()).copied().unwrap_or_default()
    }
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [half, most, nearly_all] = [50, 90, 99].map(|percent| self.percentile(percent));
        let (served, failed) = (self.times.len(), self.failures.len());
        write!(
            f,
            "{served} requests served, {failed} failed; 50 %: {half:.1?}, 90 %: {most:.1?}, 99 %: {nearly_all:.1?}"
        )
    }
}

/// Lets the honest clients ask for this long.
async fn serve(proxy: &Proxy, length: Duration) -> Served {
    let (served, end) = (Arc::<Mutex<Served>>::default(), Instant::now() + length);
    let mut clients = JoinSet::new();
    for number in 0..ADDRESSES * CLIENTS {
        let (served, proxy) = (Arc::clone(&served), proxy.address());
        let client = Client::at(1 + number % ADDRESSES).named(format!("honest{}", number % ADDRESSES));
        clients.spawn(async move {
            while Instant::now() < end {
                let outcome = client.is_served(proxy).await;
                let mut served = served.lock().await;
                match outcome {
                    Ok(time) => served.times.push(time),
                    Err(error) => served.failures.push(format!("{error:#}")),
                }
                drop(served);
                sleep(PAUSE).await;
            }
        });
    }
    while clients.join_next().await.is_some() {}
    std::mem::take(&mut *served.lock().await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_time_of_a_request() {
        let times = (1..=200).map(Duration::from_millis).collect();
        let served = Served { times, failures: Vec::new() };
        assert_eq!(served.percentile(50), Duration::from_millis(101));
        assert_eq!(served.percentile(99), Duration::from_millis(199));
        assert_eq!(Served::default().percentile(99), Duration::ZERO);
        let one = Served { times: vec![Duration::from_millis(7)], failures: Vec::new() };
        assert_eq!(one.percentile(99), Duration::from_millis(7));
    }
}
