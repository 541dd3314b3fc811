//! The embedded router, and its state in the words of the status.

use std::{path::Path, time::Instant};

use i2p_embedded::{ProcessCondition, ProcessStatus, Progress as Event, RouterProcess};
use i2p_sam::{BridgeAddress, Connector};

use super::{EMBEDDED_DIRECTORY, private_network::warn_of_private_network};
use crate::{
    command_error::CommandError,
    config::{Config, values::Backend},
    daemon::router_user::RouterUser,
    names::service::NameService,
    status::own_router::{OwnRouterKind, OwnRouterState, OwnRouterStatus},
    terminal::progress::Progress,
};

/// Why commands that need incoming streams or datagrams do not start the embedded router.
const REFUSED_COMMAND: &str = "The embedded router accepts no streams and carries no datagrams, because a stranger who can send to \
                               it can end it. Use i2pd or Java I2P: --router i2pd or --router sam";

/// Starts the embedded router, and waits until its SAM bridge can be used.
pub(super) async fn start(
    user: RouterUser,
    config: &Config,
    progress: &Progress,
    names: &NameService,
) -> Result<RouterProcess, CommandError> {
    // With backend = "auto" or a command's own sessions, this shows only now.
    let refused = config.refused_by_embedded_router();
    if !refused.is_empty() {
        let why = match user {
            RouterUser::Proxy | RouterUser::Program => {
                refused.into_iter().map(|problem| problem.text).collect::<Vec<_>>().join("\n")
            }
            // Its tunnel is not one that the user has configured.
            RouterUser::Command => REFUSED_COMMAND.to_owned(),
        };
        // With "auto", the router may be there at the next start, so a service manager should try again.
        return Err(match config.router.backend {
            Backend::Embedded => CommandError::usage(why),
            _ => CommandError::run_time(format_args!("no running router was found. {why}")),
        });
    }
    let state_dir = config.private_state_dir()?;
    warn_of_private_network(config.router.network_id);
    warn_of_unknown_names(names, &state_dir);
    let report = progress.clone();
    let mut builder = RouterProcess::builder(state_dir.join(EMBEDDED_DIRECTORY))
        .network_id(config.router.network_id)
        .on_progress(move |event| show(&report, event));
    if let Some(file) = &config.router.reseed_file {
        builder = builder.reseed_file(file);
    }
    builder.start().await.map_err(CommandError::run_time)
}

/// The way to its SAM bridge.
pub(super) fn address(router: &RouterProcess) -> BridgeAddress {
    let sam = router.sam();
    let connector = Connector::new("the embedded router", move || {
        let sam = sam.clone();
        async move { sam.connect().await }
    });
    connector.into()
}

/// Its state in the words of the status.
pub(super) fn status(status: ProcessStatus) -> OwnRouterStatus {
    let state = match status.condition {
        ProcessCondition::Running => OwnRouterState::Running,
        ProcessCondition::Down { until } => {
            OwnRouterState::Down(until.saturating_duration_since(Instant::now()))
        }
        _ => OwnRouterState::Starting,
    };
    OwnRouterStatus { kind: OwnRouterKind::Embedded, state, deaths: status.deaths, too_few_routers: None }
}

/// Warns if host names will not be found: the embedded router knows none.
fn warn_of_unknown_names(names: &NameService, state_dir: &Path) {
    match names.book() {
        Ok(book) if book.file().is_empty().unwrap_or(true) => tracing::warn!(
            "the address book is empty, so only .b32.i2p addresses can be reached. To get names, run i2p-socks names subscribe \
             http://i2p-projekt.i2p/hosts.txt --state-dir {directory}, or put a hosts.txt into {directory} and restart",
            directory = state_dir.display()
        ),
        Ok(_) => {}
        Err(why) => tracing::warn!(
            "{why}, and the embedded router has none, so only .b32.i2p addresses can be reached"
        ),
    }
}

fn show(progress: &Progress, event: Event) {
    match event {
        Event::AskingReseedServers => {
            progress.step(1, "asking reseed servers on the internet for a first list of routers");
        }
        Event::ReadingReseedFile => progress.step(1, "reading the reseed file"),
        Event::Reseeded { routers } => progress.step(2, &format!("got a list of {routers} routers")),
        Event::Started { known_routers } => {
            progress.step(2, &format!("embedded router is running, {known_routers} routers known"));
        }
        Event::Status { connected_peers, tunnels_built } => progress.update(
            3,
            &format!(
                "building I2P tunnels: {connected_peers} routers connected, {tunnels_built} tunnels built"
            ),
        ),
        _ => {}
    }
}
