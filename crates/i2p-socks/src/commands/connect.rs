//! `connect`: a stream, or datagrams, between stdin and stdout and a host.

use std::time::Duration;

use clap::Args;
use i2p_name::Target;
use i2p_tunnel::{Failure as Cause, Verdict};

use super::streams::{
    asked::Asked,
    datagrams,
    own::Own,
    reply,
    running::RunningProxy,
    stdio,
    user::{User, UserOptions},
};
use crate::{
    config::{Config, tunnel::TunnelName, values::port},
    failure::Failure,
    terminal::progress::Progress,
};

/// `connect`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct ConnectCommand {
    /// A host name, a .b32.i2p address or a destination in base64.
    // One destination of 64 begins with a hyphen.
    #[arg(value_name = "HOST", allow_hyphen_values = true)]
    host: String,
    /// The port there. Most services in I2P are the same at every port.
    #[arg(value_name = "PORT", default_value_t = 0, value_parser = port)]
    port: u16,
    /// Send datagrams: one for each read of stdin; what comes back goes to stdout.
    #[arg(long)]
    udp: bool,
    /// With --udp: how long to wait for more to come back after the end of stdin.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration, requires = "udp")]
    linger: Duration,
    /// By which tunnel of the configuration; not given, the first, and with --udp the first that carries datagrams.
    #[arg(long, value_name = "NAME")]
    tunnel: Option<TunnelName>,
    #[command(flatten)]
    user: UserOptions,
}

/// A stream, or datagrams, between stdin and stdout and a host.
pub(crate) async fn connect(
    config: Config,
    command: &ConnectCommand,
    progress: &Progress,
) -> Result<(), Failure> {
    let target = Target::parse(command.host.as_bytes())
        .map_err(|error| Failure::usage(format_args!("that is no host that can be connected to: {error}")))?;
    let asked = Asked { host: command.host.clone(), target, port: command.port };
    let user = User::of(&command.user)?;
    let running = RunningProxy::find(&config, command.tunnel.as_ref(), user).await?;
    if running.is_none() && leads_nowhere(&config, &asked) {
        return Err(Failure::run_time(reply::own(Cause::NotAllowed)));
    }
    let own = async || Own::open(config, command.tunnel.as_ref(), command.udp, false, progress).await;
    match (running, command.udp) {
        (Some(proxy), false) => {
            let (socket, early) = proxy.connect(&asked).await?;
            stdio::relay(stdio::Stream::through_proxy(socket, early)).await
        }
        (Some(proxy), true) => datagrams::through_proxy(&proxy, &asked, command.linger).await,
        (None, false) => {
            let own = own().await?;
            let stream = own.connect(&asked).await?;
            progress.finish();
            stdio::relay(stream).await
        }
        (None, true) => {
            let own = own().await?;
            let way = own.associate().await?;
            progress.finish();
            datagrams::through_session(&way, &asked, command.linger).await
        }
    }
}

/// Whether the routes refuse it: no router has to be found, or started, to say so.
fn leads_nowhere(config: &Config, asked: &Asked) -> bool {
    let routes = config.routes();
    matches!(routes.decide(&asked.target, asked.port), Verdict::Rejected { .. } | Verdict::NoRule)
}
