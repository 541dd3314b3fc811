//! An installed i2pd that the proxy starts, and its state in the words of the status.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use super::{fault_of_reseed_file, private_network::warn_of_private_network};
use crate::{
    command_error::CommandError,
    config::Config,
    i2pd::{I2pd, I2pdCondition, I2pdStatus, Settings, has_run_in},
    status::own_router::{OwnRouterKind, OwnRouterState, OwnRouterStatus},
    terminal::progress::Progress,
};

/// Where i2pd keeps its files, in the state directory.
const DIRECTORY: &str = "i2pd";

/// Returns whether an i2pd of this proxy has run with this state directory.
pub(crate) fn has_run_before(config: &Config) -> bool {
    config.state_dir().is_ok_and(|state_dir| has_run_in(&state_dir.join(DIRECTORY)))
}

/// Starts i2pd, and waits until its SAM bridge answers.
pub(super) async fn start(
    config: &Config,
    program: &Path,
    progress: &Progress,
) -> Result<I2pd, CommandError> {
    let router = &config.router;
    let reseed_file = router.reseed_file.as_deref().map(reseed_file).transpose()?;
    warn_of_private_network(router.network_id);
    progress.step(1, &format!("starting i2pd ({})", program.display()));
    let mut i2pd = I2pd::start(Settings {
        program: program.to_owned(),
        directory: config.private_state_dir()?.join(DIRECTORY),
        network_id: router.network_id,
        reseed_file,
    })?;
    progress.step(
        2,
        match i2pd.asks_reseed_servers() {
            true => "waiting for the SAM bridge of i2pd, which asks reseed servers on the internet for a first list of routers",
            false => "waiting for the SAM bridge of i2pd",
        },
    );
    i2pd.ready().await?;
    tracing::warn!(
        "other users of this machine can use the SAM bridge of i2pd, and with it your router, without a password: auth = \"required\" \
         does not keep them out"
    );
    Ok(i2pd)
}

/// A reseed file as i2pd takes it.
fn reseed_file(file: &Path) -> Result<PathBuf, CommandError> {
    if let Some(fault) = fault_of_reseed_file(file, OwnRouterKind::I2pd) {
        return Err(CommandError::usage(fault));
    }
    std::path::absolute(file)
        .map_err(|error| CommandError::usage(format_args!("reseed-file {}: {error}", file.display())))
}

/// Its state in the words of the status.
pub(super) fn status(status: I2pdStatus) -> OwnRouterStatus {
    let state = match status.condition {
        I2pdCondition::Starting => OwnRouterState::Starting,
        I2pdCondition::Running => OwnRouterState::Running,
        I2pdCondition::Down { until } => {
            OwnRouterState::Down(until.saturating_duration_since(Instant::now()))
        }
    };
    OwnRouterStatus {
        kind: OwnRouterKind::I2pd,
        state,
        deaths: status.deaths,
        too_few_routers: status.too_few_routers,
    }
}
