//! `listen`: accepts streams that peers open.

use clap::Args;

use super::streams::{
    incoming::{self, ForwardTo},
    own::OwnSessions,
    running::RunningProxy,
    user::{User, UserOptions},
};
use crate::{
    command_error::CommandError,
    config::{
        Config,
        tunnel::{SessionPurpose, TunnelName},
        values::port,
    },
    terminal::progress::Progress,
};

/// `listen`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct ListenCommand {
    /// Port of the BIND request to the running proxy. Has no effect on I2P: peers can connect to any port of the address.
    #[arg(value_name = "PORT", default_value_t = 0, value_parser = port)]
    port: u16,
    /// Connect each stream to this address, IP:PORT or localhost:PORT, such as localhost:22, until interrupted.
    #[arg(long, value_name = "IP:PORT")]
    forward: Option<ForwardTo>,
    /// Use this tunnel of the configuration [default: the first].
    #[arg(long, value_name = "NAME")]
    tunnel: Option<TunnelName>,
    #[command(flatten)]
    user: UserOptions,
}

/// Accepts the streams that peers open.
pub(crate) async fn listen(
    config: Config,
    command: &ListenCommand,
    progress: &Progress,
) -> Result<(), CommandError> {
    let user = User::of(&command.user)?;
    let limits = config.limits.times();
    match RunningProxy::find(&config, command.tunnel.as_ref(), user).await? {
        Some(proxy) => {
            proxy.refuse_demo("accepts no streams from peers: it carries only streams to its own page")?;
            incoming::listen(&proxy, command.port, command.forward, limits).await
        }
        None => {
            let own = OwnSessions::open(config, command.tunnel.as_ref(), SessionPurpose::Incoming, progress)
                .await?;
            let listening = incoming::listen(&own, command.port, command.forward, limits).await;
            progress.finish();
            listening
        }
    }
}
