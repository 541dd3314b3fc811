//! The course of the soak: the network, the load, the quiet minutes, the verdict.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use lab::{
    curl::Curl,
    echo::Echo,
    exits::{self, ExitPrograms},
    formation, namespace,
    network::{self, Network},
    proxy::{self, Proxy},
    site::Site,
    wait::{Attempt, until},
};
use tokio::{
    io::AsyncWriteExt,
    process::Command,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until},
};

use crate::{
    clients::{PASSWORD, USER, USERS_ADDRESS},
    disturbances::Disturbances,
    event_log::EventLog,
    load::{ClientKind, Load},
    sample::{Metrics, Sample},
    verdict::Series,
};

/// The minutes of load before the first quiet minute, at most. By then sessions, caches and the allocator have what they need.
const MAX_WARM_UP_MINUTES: u64 = 5;
/// How long connections of the clients may stay open after the load. The longest limit on silence is that of half-closed ones,
/// two minutes.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(180);
const MINUTE: Duration = Duration::from_secs(60);
/// Hops of the proxy's tunnels. With hops, i2pd 2.45 lost all answers to a session for minutes after a restart of its router. This
/// suite does not test i2pd.
const HOPS: u8 = 0;
/// Every fifth sample is printed.
const PRINTED_EVERY: u64 = 5;

/// Forms the network, runs the proxy's `program` under load for this many minutes and judges it. Its files go to `results`.
pub(crate) async fn run(program: &Path, lab: &Path, results: &Path, minutes: u64) -> Result<()> {
    namespace::set_up(&[network::addresses(0), exits::addresses()].concat())?;
    namespace::add_default_route()?;
    let exit_programs = ExitPrograms::start(lab).await?;
    let formed = formation::form("the network", lab, async |directory| {
        let network = Network::start(directory, &[]).await?;
        let (site, exits, echo) = tokio::try_join!(
            Site::publish(&network),
            exit_programs.publish(&network),
            Echo::open(network.site_bridge(), network.client_bridge())
        )?;
        Ok((network, site, exits, echo))
    });
    let (network, site, exits, echo) = formed.await?;
    let bridge = network.client_bridge().clone();
    let users = make_users_file(program, lab).await?;
    let configuration = proxy::configuration(&site, HOPS) + &exits.configuration() + &tunnels(&users);
    let events = EventLog::start();
    let load = Arc::new(Load::new(Curl::new(lab)?, site, echo, events));
    let file = results.join("i2p-socks.toml");
    let mut disturbances = Disturbances::new(network, file, configuration.clone(), events);
    let places = [proxy::ADDRESS, USERS_ADDRESS].map(str::to_owned);
    let proxy = tokio::select! {
        proxy = Proxy::start_as_configured(program, results, &bridge, &places, &configuration) => proxy?,
        failed = disturbances.keep_router_up(load.router()) => return failed.map(|never| match never {}),
    };
    let series = Series::new(results.join("samples.tsv"));
    let mut soak = Soak { proxy, load, disturbances, series, load_time: Duration::ZERO };
    let outcome = soak.run(Duration::from_secs(minutes * 60)).await;
    drop(exits);
    outcome
}

/// A tunnel with datagrams, and one with passwords. They share their sessions, of which there may be eight.
fn tunnels(users: &Path) -> String {
    format!(
        "[[tunnel]]\nname = \"default\"\nlisten = [\"{}\"]\nudp = \"datagram\"\n\
         [[tunnel]]\nname = \"users\"\nlisten = [\"{USERS_ADDRESS}\"]\nisolate = [\"client\"]\nauth = \"required\"\n\
         users-file = \"{}\"\nudp = \"datagram\"\n",
        proxy::ADDRESS,
        users.display()
    )
}

/// Lets the program make a users file with one user.
async fn make_users_file(program: &Path, lab: &Path) -> Result<PathBuf> {
    let path = lab.join("users");
    let mut passwd = Command::new(program)
        .args(["passwd", USER])
        .stdin(Stdio::piped())
        .stdout(File::create(&path)?)
        .spawn()
        .context("could not start the proxy's program")?;
    let mut stdin = passwd.stdin.take().context("it has no stdin")?;
    stdin.write_all(format!("{PASSWORD}\n").as_bytes()).await?;
    drop(stdin);
    let status = passwd.wait().await?;
    ensure!(status.success(), "passwd exited with {status}");
    Ok(path)
}

struct Soak {
    proxy: Proxy,
    load: Arc<Load>,
    disturbances: Disturbances,
    series: Series,
    /// For how long there has been load.
    load_time: Duration,
}

impl Soak {
    async fn run(&mut self, length: Duration) -> Result<()> {
        let warm_up = (length / 2).min(Duration::from_secs(MAX_WARM_UP_MINUTES * 60));
        println!("{}", Sample::HEAD);
        self.apply_load(warm_up).await?;
        let baseline = self.quiet_minute().await?;
        self.apply_load(length.saturating_sub(warm_up)).await?;
        let end = self.quiet_minute().await?;
        let metrics = self.metrics().await?;
        let logged = self.disturbances.verdict(&self.proxy.log());
        let exited = self.proxy.terminate().await;
        println!("\nrequests as the proxy counts them:\n{}", metrics.outcome_lines());
        println!("work of the clients:\n{}", self.load.counts());
        println!("{}", self.disturbances);
        let verdict = self.series.verdict(&baseline, &end);
        println!("{verdict}");
        exited?;
        logged?;
        let work = self.load.counts().verdict();
        ensure!(verdict.is_good(), "the proxy has grown");
        work
    }

    /// Runs clients of every kind and disturbs the proxy, for this long.
    async fn apply_load(&mut self, length: Duration) -> Result<()> {
        let mut clients = JoinSet::new();
        for kind in ClientKind::ALL {
            for _ in 0..kind.copies() {
                clients.spawn(Arc::clone(&self.load).run_client(kind));
            }
        }
        let (before, end) = (self.load_time, Instant::now() + length);
        let mut ticks = interval_at(Instant::now() + MINUTE, MINUTE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let id = self.proxy.id()?;
        let sampling = async {
            let start = Instant::now();
            while Instant::now() < end {
                tokio::select! {
                    () = sleep_until(end) => break,
                    _ = ticks.tick() => {}
                }
                self.proxy.check_alive()?;
                let sample = sample(&self.proxy, &self.load, before + start.elapsed()).await;
                match sample {
                    Ok(sample) => {
                        if self.series.len().is_multiple_of(PRINTED_EVERY) {
                            println!("{sample}");
                        }
                        self.series.push(sample)?;
                    }
                    // The machine is slow at the moment. The check above finds a proxy that has exited.
                    Err(error) => println!("no sample: {error:#}"),
                }
            }
            anyhow::Ok(())
        };
        let disturbing = self.disturbances.run(before, before + length, id, self.load.router());
        tokio::try_join!(sampling, disturbing)?;
        self.load_time += length;
        clients.shutdown().await;
        Ok(())
    }

    /// Waits for the last connection to close, then for a minute, and takes a sample.
    async fn quiet_minute(&mut self) -> Result<Sample> {
        let (proxy, load) = (&mut self.proxy, &self.load);
        let drained = until("the last connection has closed", DRAIN_TIMEOUT, async || {
            proxy.check_alive()?;
            let metrics = match Metrics::fetch(load.curl()).await {
                Ok(metrics) => metrics,
                Err(error) => return Ok(Attempt::NotYet(format!("{error:#}"))),
            };
            let open = metrics.sum("i2p_socks_connections_active");
            Ok(if open == 0 { Attempt::Done(()) } else { Attempt::NotYet(format!("{open} are open")) })
        });
        if let Err(error) = drained.await {
            println!("{error:#}");
        }
        sleep(MINUTE).await;
        self.proxy.check_alive()?;
        let sample =
            sample(&self.proxy, &self.load, self.load_time).await.context("no sample of a quiet minute")?;
        println!("{sample} quiet");
        Ok(sample)
    }

    async fn metrics(&self) -> Result<Metrics> {
        Metrics::fetch(self.load.curl()).await
    }
}

async fn sample(proxy: &Proxy, load: &Load, load_time: Duration) -> Result<Sample> {
    Sample::take(proxy.id()?, &Metrics::fetch(load.curl()).await?, load_time)
}
