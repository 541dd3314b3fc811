//! The router: a running one with a SAM bridge, or one that the proxy starts.

use std::{fmt, path::PathBuf, time::Duration};

use i2p_sam::{Bridge, BridgeAddress, Capabilities, Error};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    bridge::{SPARE_CONNECTIONS, bridge},
    notify::ServiceManager,
    own_router::{Deaths, OwnRouter, i2pd_has_run_before, installed_i2pd, no_i2pd},
    router_user::RouterUser,
    used_bridge::UsedBridge,
};
use crate::{
    command_error::CommandError,
    config::{Config, values::Backend},
    names::service::NameService,
    status::{bridge_advice::advice, own_router::OwnRouterSource},
    terminal::progress::Progress,
};

/// Whether this build has the embedded router.
const HAS_EMBEDDED_ROUTER: bool = cfg!(all(unix, feature = "embedded"));
/// How long `auto` looks for a bridge before it starts a router.
const AUTO_TIMEOUT: Duration = Duration::from_secs(5);
/// The same for a service. At boot, the router starts at the same time, and Java I2P needs minutes until its bridge answers.
const AUTO_TIMEOUT_OF_SERVICE: Duration = Duration::from_secs(180);
/// The time between two attempts.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// A router with its SAM bridge.
pub(crate) struct Router {
    bridge: Bridge,
    /// The router, if the proxy runs it itself.
    own: Option<OwnRouter>,
}

impl Router {
    /// Finds a router or starts one. `no_own_router`: why `auto` cannot start one, if it cannot.
    pub(crate) async fn find_or_start(
        user: RouterUser,
        config: &Config,
        progress: &Progress,
        names: &NameService,
        no_own_router: Option<String>,
    ) -> Result<Self, CommandError> {
        let bridge = bridge(config)?;
        match config.router.backend {
            Backend::Embedded => {
                start_own(user, OwnRouter::start_embedded(user, config, progress, names)).await
            }
            Backend::I2pd => {
                let program = installed_i2pd(config).map_err(|fault| no_i2pd(&fault))?;
                start_own(user, OwnRouter::start_i2pd(config, &program, progress)).await
            }
            Backend::Sam => match find_or_wait(&bridge, user, config, progress).await {
                Ok(()) => Ok(Self::external(bridge, config)),
                Err(error) => Err(CommandError::run_time(format_args!(
                    "{error}. Without a router, nothing in I2P can be reached. {}{}.",
                    advice(&error),
                    match OwnChoice::of(config) {
                        OwnChoice::I2pd(_) => ". Or use --router i2pd",
                        OwnChoice::Embedded(_) => ". Or use --router embedded",
                        OwnChoice::None(_) => "",
                    }
                ))),
            },
            Backend::Auto => {
                // A proxy that waits for the bridge that it has used before starts no router in any case.
                let none = no_own_router.filter(|_| UsedBridge::of(config).file().is_none());
                let choice = none.map_or_else(|| OwnChoice::of(config), OwnChoice::None);
                Self::find_or_start_any(bridge, choice, user, config, progress, names).await
            }
        }
    }

    /// `auto`: a running router, else an installed i2pd, else the embedded router.
    async fn find_or_start_any(
        bridge: Bridge,
        choice: OwnChoice,
        user: RouterUser,
        config: &Config,
        progress: &Progress,
        names: &NameService,
    ) -> Result<Self, CommandError> {
        let used = UsedBridge::of(config);
        // A proxy that has used a bridge waits for it, and nobody starts a router in its place.
        if user == RouterUser::Command || (user == RouterUser::Program && used.file().is_some()) {
            return match probe(&bridge, progress).await {
                Ok(()) => Ok(Self::external(bridge, config)),
                Err(error) => Err(CommandError::run_time(none_for_command(user, &error, &choice, config))),
            };
        }
        let Err(error) = wait_for(&bridge, &used, &choice, progress).await else {
            return Ok(Self::external(bridge, config));
        };
        match choice {
            _ if error.may_be_of_router_at(bridge.address()) => Err(CommandError::run_time(format_args!(
                "{error}. No router is started beside the one that listens there. {}. To start one in any case, use \
                 --router i2pd or --router embedded.",
                advice(&error)
            ))),
            OwnChoice::None(why) => {
                Err(CommandError::run_time(format_args!("{error}, and {why}. {}.", advice(&error))))
            }
            OwnChoice::I2pd(program) => {
                tracing::warn!(
                    "{error}; starting i2pd ({}), which is used until i2p-socks is restarted",
                    program.display()
                );
                match start_own(user, OwnRouter::start_i2pd(config, &program, progress)).await {
                    Err(error) if can_replace_i2pd(config) => {
                        tracing::warn!("{error}");
                        tracing::warn!("starting the embedded router instead of i2pd");
                        start_own(user, OwnRouter::start_embedded(user, config, progress, names)).await
                    }
                    started => started,
                }
            }
            OwnChoice::Embedded(why) => {
                tracing::warn!(
                    "{error}, and {why}; starting the embedded router, which is used until i2p-socks is restarted"
                );
                start_own(user, OwnRouter::start_embedded(user, config, progress, names)).await
            }
        }
    }

    fn external(bridge: Bridge, config: &Config) -> Self {
        UsedBridge::of(config).mark(bridge.address());
        Self { bridge, own: None }
    }

    fn own(router: OwnRouter) -> Self {
        let bridge = Bridge::new(router.address()).with_spares(SPARE_CONNECTIONS);
        Self { bridge, own: Some(router) }
    }

    /// Its SAM bridge.
    pub(crate) fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    /// Where its state is read from, if the proxy runs it itself.
    pub(crate) fn status(&self) -> Option<OwnRouterSource> {
        self.own.as_ref().map(OwnRouter::status)
    }

    /// Its deaths, if the proxy runs it itself.
    pub(crate) fn deaths(&self) -> Deaths {
        self.own.as_ref().map_or(Deaths::None, OwnRouter::deaths)
    }
}

/// Starts a router of the proxy's own. If this is dropped before that is done, the router ends first, and a proxy says so.
async fn start_own(
    user: RouterUser,
    start: impl Future<Output = Result<OwnRouter, CommandError>>,
) -> Result<Router, CommandError> {
    let mut start = Box::pin(start);
    // Dropped before the router, whose end takes time.
    let mut unfinished = Unfinished(user == RouterUser::Proxy);
    let started = start.as_mut().await;
    unfinished.0 = false;
    started.map(Router::own)
}

/// Says when it is dropped that a router is being started, unless that is done.
struct Unfinished(bool);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.0 {
            tracing::info!(
                "a router that is being started ends first; a second signal ends the proxy at once"
            );
        }
    }
}

/// The router that the proxy would start.
pub(crate) enum OwnChoice {
    /// This i2pd.
    I2pd(PathBuf),
    /// The embedded router, and why no i2pd.
    Embedded(String),
    /// There is none, and why.
    None(String),
}

impl OwnChoice {
    /// The one that `auto` starts if no SAM bridge answers.
    pub(crate) fn of(config: &Config) -> Self {
        match installed_i2pd(config) {
            Ok(program) => Self::I2pd(program),
            Err(why) if can_replace_i2pd(config) => Self::Embedded(why),
            Err(why) if HAS_EMBEDDED_ROUTER => Self::None(format!(
                "{why}. This proxy has run i2pd before, so the embedded router is not started (--router embedded starts it)"
            )),
            Err(why) => Self::None(format!("{why}; this build has no embedded router")),
        }
    }
}

/// Whether `auto` may start the embedded router in place of i2pd. If i2pd has run before, it may not: i2pd may be away for the moment of
/// an update, and another router asks servers on the internet for its first routers, which an observer of the network sees.
fn can_replace_i2pd(config: &Config) -> bool {
    HAS_EMBEDDED_ROUTER && !i2pd_has_run_before(config)
}

/// Why a command has no router, and what to do. Under `auto` it starts none: that takes minutes, asks servers on the internet for first
/// routers, and ends with the command.
fn none_for_command(user: RouterUser, error: &Error, choice: &OwnChoice, config: &Config) -> String {
    if error.may_be_of_router_at(&config.router.sam.0) {
        return format!("{error}. {}.", advice(error));
    }
    if user == RouterUser::Program {
        return format!(
            "{error}. A router's SAM bridge was used before, so exec starts no router of its own. {}. To start one in any case, use \
             --router i2pd or --router embedded.",
            advice(error)
        );
    }
    let named = match choice {
        OwnChoice::I2pd(_) => ", or let the command start i2pd with --router i2pd",
        OwnChoice::Embedded(_) if config.refused_by_embedded_router().is_empty() => {
            ", or let the command start the embedded router with --router embedded"
        }
        _ => "",
    };
    let other = match error {
        Error::Unreachable { address: BridgeAddress::Tcp(_) | BridgeAddress::Tls(_), .. } => {
            ", or name the SAM bridge of a running router with --sam HOST:PORT".to_owned()
        }
        _ => format!(". {}", advice(error)),
    };
    format!(
        "{error}, and a command starts no router unless you name it, so nothing in I2P can be reached. Start i2p-socks run, whose \
         sessions the command then uses{named}{other}."
    )
}

/// What is started, as part of a sentence.
impl fmt::Display for OwnChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::I2pd(program) => write!(f, "i2pd ({})", program.display()),
            Self::Embedded(_) => f.write_str("the embedded router"),
            Self::None(_) => f.write_str("no router"),
        }
    }
}

/// `sam`: a proxy waits for the bridge if it is a service or has used one before. Otherwise there is one attempt: somebody who has just
/// typed a wrong address is told so.
async fn find_or_wait(
    bridge: &Bridge,
    user: RouterUser,
    config: &Config,
    progress: &Progress,
) -> Result<(), Error> {
    let has_used_one = UsedBridge::of(config).file().is_some();
    if user == RouterUser::Proxy && (has_used_one || ServiceManager.exists()) {
        let why_it_waits = "The proxy waits until it does, as backend = \"sam\" says";
        wait_for_answer(bridge, why_it_waits, "", progress).await
    } else {
        probe(bridge, progress).await
    }
}

/// Looks for a bridge until one answers or the time is over. The router that is started then stays until the next restart. If a
/// bridge has been used before, the proxy waits without a limit. If there is no router to start, there is one attempt.
async fn wait_for(
    bridge: &Bridge,
    used: &UsedBridge,
    choice: &OwnChoice,
    progress: &Progress,
) -> Result<(), Error> {
    let how_at_once = match choice {
        OwnChoice::I2pd(_) => "--router i2pd",
        OwnChoice::Embedded(_) => "--router embedded",
        OwnChoice::None(_) => return probe(bridge, progress).await,
    };
    if let Some(file) = used.file() {
        let why_it_waits = "This proxy has used a router's SAM bridge before, so it waits for it and starts no router of its own";
        let or_else = format!(
            ". To start one from now on, use --router i2pd or --router embedded, or remove {} and restart",
            file.display()
        );
        return wait_for_answer(bridge, why_it_waits, &or_else, progress).await;
    }
    let mut error = match probe(bridge, progress).await {
        Err(error) if is_worth_waiting(&error) => error,
        outcome => return outcome,
    };
    // From here on: a bridge that accepts and does not answer has cost time already.
    let limit = if ServiceManager.exists() { AUTO_TIMEOUT_OF_SERVICE } else { AUTO_TIMEOUT };
    let then = if error.may_be_of_router_at(bridge.address()) {
        format!("giving up ({how_at_once}: start a router in any case)")
    } else {
        format!("{choice} is started ({how_at_once}: start it at once; --router sam: never)")
    };
    tracing::info!("{error}; trying for {} s before {then}", limit.as_secs());
    let until = Instant::now() + limit;
    // A refused connection fails at once, so that `timeout_at` alone would never end.
    while Instant::now() < until {
        sleep(PROBE_INTERVAL).await;
        match timeout_at(until, bridge.capabilities()).await {
            Ok(Ok(found)) => {
                show_found(bridge, found, progress);
                return Ok(());
            }
            Ok(Err(other)) if is_worth_waiting(&other) => error = other,
            Ok(Err(other)) => return Err(other),
            Err(_) => break,
        }
    }
    Err(error)
}

/// Looks for a bridge until one answers. Says why, what to do about the router, and what else there is to do.
async fn wait_for_answer(
    bridge: &Bridge,
    why_it_waits: &str,
    or_else: &str,
    progress: &Progress,
) -> Result<(), Error> {
    let mut outcome = probe(bridge, progress).await;
    if let Err(error) = &outcome
        && is_worth_waiting(error)
    {
        tracing::warn!("{error}. {why_it_waits}. {}{or_else}", advice(error));
    }
    while outcome.as_ref().is_err_and(is_worth_waiting) {
        sleep(PROBE_INTERVAL).await;
        outcome = bridge.capabilities().await.map(|found| show_found(bridge, found, progress));
    }
    outcome
}

fn is_worth_waiting(error: &Error) -> bool {
    !error.needs_other_configuration()
}

async fn probe(bridge: &Bridge, progress: &Progress) -> Result<(), Error> {
    progress.step(1, &format!("looking for a SAM bridge at {}", bridge.address()));
    show_found(bridge, bridge.capabilities().await?, progress);
    Ok(())
}

fn show_found(bridge: &Bridge, found: Capabilities, progress: &Progress) {
    progress.step(2, &format!("SAM {} bridge found at {}", found.version(), bridge.address()));
}

#[cfg(test)]
mod tests {
    use std::io;

    use i2p_sam::Connector;
    use tokio::time::timeout;

    use super::*;
    use crate::config::{log::LogFormat, verbosity::Verbosity};

    /// The answer of a port that nobody listens on comes at once.
    #[tokio::test(start_paused = true)]
    async fn the_search_for_a_bridge_ends_when_it_has_said() {
        let nobody = Connector::new("nobody", || async { Err(io::ErrorKind::ConnectionRefused.into()) });
        let bridge = Bridge::new(nobody);
        let progress = Progress::new(Verbosity::Quiet, LogFormat::Text);
        let choice = OwnChoice::Embedded("there is no i2pd".to_owned());
        let begin = Instant::now();
        let used = UsedBridge::none();
        let search = wait_for(&bridge, &used, &choice, &progress);
        assert!(timeout(AUTO_TIMEOUT + PROBE_INTERVAL, search).await.expect("in time").is_err());
        assert!(begin.elapsed() >= AUTO_TIMEOUT);
    }
}
