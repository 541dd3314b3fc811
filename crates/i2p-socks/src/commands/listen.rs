//! `listen`: streams that peers open to us.

use clap::Args;

use super::streams::{
    incoming::{self, ForwardTo},
    own::Own,
    running::RunningProxy,
    user::{User, UserOptions},
};
use crate::{
    config::{Config, tunnel::TunnelName, values::port},
    failure::Failure,
    terminal::progress::Progress,
};

/// `listen`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct ListenCommand {
    /// The port that the proxy is asked for. Routers give all streams to whoever listens, whatever their port.
    #[arg(value_name = "PORT", default_value_t = 0, value_parser = port)]
    port: u16,
    /// Connect every stream to this port of this machine, such as localhost:22, until interrupted.
    #[arg(long, value_name = "HOST:PORT")]
    forward: Option<ForwardTo>,
    /// By which tunnel of the configuration; not given, the first.
    #[arg(long, value_name = "NAME")]
    tunnel: Option<TunnelName>,
    #[command(flatten)]
    user: UserOptions,
}

/// The streams that peers open to us.
pub(crate) async fn listen(
    config: Config,
    command: &ListenCommand,
    progress: &Progress,
) -> Result<(), Failure> {
    let user = User::of(&command.user)?;
    let limits = config.limits.times();
    match RunningProxy::find(&config, command.tunnel.as_ref(), user).await? {
        Some(proxy) => incoming::listen(&proxy, command.port, command.forward, limits).await,
        None => {
            let own = Own::open(config, command.tunnel.as_ref(), false, true, progress).await?;
            let listening = incoming::listen(&own, command.port, command.forward, limits).await;
            progress.finish();
            listening
        }
    }
}
