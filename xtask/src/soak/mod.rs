//! `cargo xtask soak`: an hour of everything at once, to see whether the proxy grows or wears out.
//!
//! The network is that of interop: real i2pd routers, a site and ways out. Clients of every kind come in loops; the
//! proxy's router is killed now and then, and the proxy is told to read its configuration again and to take new
//! identities. A quiet minute after the first minutes is what the quiet minute at the end is held against.

mod clients;
mod diary;
mod disturbances;
mod process;
mod requests;
mod verdict;

use std::{
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tokio::{
    io::AsyncWriteExt,
    process::Command,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until},
};

use self::{
    clients::{Client, PASSWORD, Surroundings, USER, USERS_ADDRESS},
    diary::Diary,
    disturbances::Disturbances,
    process::{Metrics, Sample},
    verdict::Series,
};
use crate::{
    Workspace,
    interop::{
        self,
        curl::Curl,
        i2pd::{self, Network},
        outproxies::{self, Programs},
        peers::far::Echo,
        proxy::{self, Proxy},
    },
    lab::{
        formation,
        namespace::{self, INSIDE, NETWORK_AND_PROCESSES},
        wait::{Attempt, until},
    },
    programs::{self, Program},
};

/// The chore's name.
pub(crate) const NAME: &str = "soak";
/// The option that takes the minutes of load.
const MINUTES: &str = "--minutes";
/// Minutes of load when none are given.
pub(crate) const USUAL: u64 = 60;
/// What it runs beside the proxy.
const PROGRAMS: [Program; 4] =
    [("i2pd", "i2pd"), ("curl", "curl"), ("ip", "iproute2"), ("unshare", "util-linux")];
/// Minutes of load before the first quiet minute, at most: sessions, caches and the allocator have what they need.
const WARM: u64 = 5;
/// How long after the clients have gone the last of their connections may be open: the longest limit on silence
/// is that of half-closed ones, two minutes.
const DRAIN: Duration = Duration::from_secs(180);
const MINUTE: Duration = Duration::from_secs(60);
/// Hops of the proxy's tunnels. With hops, i2pd 2.45 lost all answers to a session for minutes when its router had just come back:
/// what is tried here is not i2pd.
const HOPS: u8 = 0;
/// Every so many samples one is printed.
const PRINTED: u64 = 5;

/// The minutes that these arguments of the chore mean, and whether it is inside; nothing when they make no sense.
pub(crate) fn arguments(words: &[&str]) -> Option<(u64, bool)> {
    let (inside, words) = match words {
        [INSIDE, words @ ..] => (true, words),
        words => (false, words),
    };
    match words {
        [] => Some((USUAL, inside)),
        [MINUTES, number] => {
            number.parse().ok().filter(|minutes| *minutes > 0).map(|minutes| (minutes, inside))
        }
        _ => None,
    }
}

/// Outside: everything that needs the machine, then the rest in a namespace.
pub(crate) fn run(workspace: &Workspace, minutes: u64) -> Result<()> {
    programs::provide(&[&PROGRAMS[..], &outproxies::PROGRAMS].concat(), workspace)?;
    workspace.build_proxy()?;
    // Whatever is built meanwhile shall not change what is tested.
    let program = program(workspace);
    let results = results(workspace);
    match fs::remove_dir_all(&results) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("could not remove {}", results.display()));
        }
        _ => fs::create_dir_all(&results)?,
    }
    fs::copy(workspace.proxy(), &program).with_context(|| format!("could not make {}", program.display()))?;
    namespace::run_inside(workspace, NAME, &[MINUTES, &minutes.to_string()], NETWORK_AND_PROCESSES)
}

/// Inside: the network, the load and the verdict.
pub(crate) fn inside(workspace: &Workspace, minutes: u64) -> Result<()> {
    interop::in_lab(workspace, NAME, async |lab| {
        println!("the proxy's log and all samples: {}", results(workspace).display());
        soak(workspace, lab, minutes).await
    })
}

/// Where the proxy's files and the samples are. They stay, whatever comes of it.
fn results(workspace: &Workspace) -> PathBuf {
    workspace.target().join("ci-files").join(NAME)
}

fn program(workspace: &Workspace) -> PathBuf {
    results(workspace).join("proxy")
}

async fn soak(workspace: &Workspace, lab: &Path, minutes: u64) -> Result<()> {
    namespace::set_up(&[i2pd::addresses(0), outproxies::addresses()].concat())?;
    namespace::route_everything()?;
    let programs = Programs::start(lab).await?;
    let formed = formation::formed("the network", lab, async |lab| {
        let network = Network::start(lab, &[]).await?;
        let (site, exits, echo) = tokio::try_join!(
            interop::publish(&network),
            programs.publish(&network),
            Echo::open(network.site_bridge(), network.client_bridge())
        )?;
        Ok((network, site, exits, echo))
    });
    let (network, site, exits, echo) = formed.await?;
    let (program, bridge) = (program(workspace), network.client_bridge().clone());
    let users = users_file(&program, lab).await?;
    let configuration = proxy::configuration(&site, HOPS) + &exits.configuration() + &tunnels(&users);
    let diary = Diary::begin();
    let surroundings = Arc::new(Surroundings::new(Curl::new(lab)?, site, echo, diary));
    let directory = results(workspace);
    let file = directory.join("i2p-socks.toml");
    let mut disturbances = Disturbances::new(network, file, configuration.clone(), diary);
    let places = [proxy::ADDRESS, USERS_ADDRESS].map(str::to_owned);
    let proxy = tokio::select! {
        proxy = Proxy::start_as_configured(&program, &directory, &bridge, &places, &configuration) => proxy?,
        broken = disturbances.keep_router(surroundings.router()) => return broken.map(|never| match never {}),
    };
    let series = Series::new(directory.join("samples.tsv"));
    let mut soak = Soak { proxy, surroundings, disturbances, series, load: Duration::ZERO };
    let outcome = soak.run(Duration::from_secs(minutes * 60)).await;
    drop(exits);
    outcome
}

/// A tunnel with datagrams, and one that asks for a password. Both are of the same sessions: there may be eight.
fn tunnels(users: &Path) -> String {
    format!(
        "[[tunnel]]\nname = \"default\"\nlisten = [\"{}\"]\nudp = \"datagram\"\n\
         [[tunnel]]\nname = \"users\"\nlisten = [\"{USERS_ADDRESS}\"]\nisolate = [\"client\"]\nauth = \"required\"\n\
         users-file = \"{}\"\nudp = \"datagram\"\n",
        proxy::ADDRESS,
        users.display()
    )
}

/// A users file with one user, as the program makes it.
async fn users_file(program: &Path, lab: &Path) -> Result<PathBuf> {
    let path = lab.join("users");
    let mut making = Command::new(program)
        .args(["passwd", USER])
        .stdin(Stdio::piped())
        .stdout(File::create(&path)?)
        .spawn()
        .context("could not start the proxy's program")?;
    let mut stdin = making.stdin.take().context("it has no stdin")?;
    stdin.write_all(format!("{PASSWORD}\n").as_bytes()).await?;
    drop(stdin);
    let status = making.wait().await?;
    ensure!(status.success(), "passwd ended with {status}");
    Ok(path)
}

struct Soak {
    proxy: Proxy,
    surroundings: Arc<Surroundings>,
    disturbances: Disturbances,
    series: Series,
    /// How long there have been clients.
    load: Duration,
}

impl Soak {
    async fn run(&mut self, length: Duration) -> Result<()> {
        let warm = (length / 2).min(Duration::from_secs(WARM * 60));
        println!("{}", Sample::HEAD);
        self.load(warm).await?;
        let baseline = self.quiet().await?;
        self.load(length.saturating_sub(warm)).await?;
        let end = self.quiet().await?;
        let metrics = self.metrics().await?;
        let told = self.disturbances.verdict(&self.proxy.log());
        let ended = self.proxy.terminate().await;
        println!("\nrequests as the proxy counts them:\n{}", metrics.outcomes());
        println!("work of the clients:\n{}", self.surroundings.requests());
        println!("{}", self.disturbances);
        let verdict = self.series.verdict(&baseline, &end);
        println!("{verdict}");
        ended?;
        told?;
        let failed = self.surroundings.requests().verdict();
        ensure!(verdict.is_good(), "the proxy has grown");
        failed
    }

    /// Clients of every kind, and what disturbs them, for so long.
    async fn load(&mut self, length: Duration) -> Result<()> {
        let mut clients = JoinSet::new();
        for client in Client::ALL {
            for _ in 0..client.copies() {
                clients.spawn(Arc::clone(&self.surroundings).come_again_and_again(client));
            }
        }
        let (before, end) = (self.load, Instant::now() + length);
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
                self.proxy.is_alive()?;
                let sample = sample(&self.proxy, &self.surroundings, before + start.elapsed()).await;
                match sample {
                    Ok(sample) => {
                        if self.series.len().is_multiple_of(PRINTED) {
                            println!("{sample}");
                        }
                        self.series.push(sample)?;
                    }
                    // A slow moment of the machine: a dead proxy is found above.
                    Err(error) => println!("no sample: {error:#}"),
                }
            }
            anyhow::Ok(())
        };
        let disturbing = self.disturbances.go_on(before, before + length, id, self.surroundings.router());
        tokio::try_join!(sampling, disturbing)?;
        self.load += length;
        clients.shutdown().await;
        Ok(())
    }

    /// A minute without clients, after the last of their connections has gone.
    async fn quiet(&mut self) -> Result<Sample> {
        let (proxy, surroundings) = (&mut self.proxy, &self.surroundings);
        let gone = until("the last connection has gone", DRAIN, async || {
            proxy.is_alive()?;
            let metrics = match Metrics::fetch(surroundings.curl()).await {
                Ok(metrics) => metrics,
                Err(error) => return Ok(Attempt::NotYet(format!("{error:#}"))),
            };
            let open = metrics.sum("i2p_socks_connections_active");
            Ok(if open == 0 { Attempt::Done(()) } else { Attempt::NotYet(format!("{open} are open")) })
        });
        if let Err(error) = gone.await {
            println!("{error:#}");
        }
        sleep(MINUTE).await;
        self.proxy.is_alive()?;
        let sample = sample(&self.proxy, &self.surroundings, self.load)
            .await
            .context("no sample of a quiet minute")?;
        println!("{sample} quiet");
        Ok(sample)
    }

    async fn metrics(&self) -> Result<Metrics> {
        Metrics::fetch(self.surroundings.curl()).await
    }
}

async fn sample(proxy: &Proxy, surroundings: &Surroundings, load: Duration) -> Result<Sample> {
    Sample::take(proxy.id()?, &Metrics::fetch(surroundings.curl()).await?, load)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_minutes_or_nothing() {
        assert_eq!(arguments(&[]), Some((60, false)));
        assert_eq!(arguments(&[MINUTES, "3"]), Some((3, false)));
        assert_eq!(arguments(&[INSIDE, MINUTES, "3"]), Some((3, true)));
        for nonsense in [
            &[MINUTES][..],
            &[MINUTES, "0"],
            &[MINUTES, "-1"],
            &[MINUTES, "x"],
            &["3"],
            &[MINUTES, "3", INSIDE],
        ] {
            assert_eq!(arguments(nonsense), None, "{nonsense:?}");
        }
    }
}
