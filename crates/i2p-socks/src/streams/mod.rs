//! `connect` and `listen`: streams and datagrams of I2P for programs that know nothing of SOCKS.

mod datagrams;
mod incoming;
mod own;
mod reply;
mod running;
mod stdio;
mod user;

use std::{net::SocketAddr, str::FromStr, time::Duration};

use clap::Args;
use i2p_name::Target;
use i2p_tunnel::{Failure as Cause, Verdict};

use self::{
    own::Own,
    running::RunningProxy,
    user::{User, UserOptions},
};
use crate::{
    config::{Config, TunnelName, port},
    exit::Failure,
    progress::Progress,
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

/// Where streams are connected to: an address, and never a name to look up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ForwardTo(SocketAddr);

impl FromStr for ForwardTo {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address = match text.strip_prefix("localhost:") {
            Some(port) => port.parse().ok().map(|port| SocketAddr::from(([127, 0, 0, 1], port))),
            None => text.parse().ok(),
        };
        address.filter(|address| address.port() != 0).map(Self).ok_or("expected IP:PORT or localhost:PORT")
    }
}

/// Whom to reach.
struct Asked {
    /// As the user wrote it.
    host: String,
    /// What that is.
    target: Target,
    port: u16,
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

/// The streams that peers open to us.
pub(crate) async fn listen(
    config: Config,
    command: &ListenCommand,
    progress: &Progress,
) -> Result<(), Failure> {
    let user = User::of(&command.user)?;
    let limits = config.limits.times();
    match RunningProxy::find(&config, command.tunnel.as_ref(), user).await? {
        Some(proxy) => incoming::listen(&proxy, command, limits).await,
        None => {
            let own = Own::open(config, command.tunnel.as_ref(), false, true, progress).await?;
            let listening = incoming::listen(&own, command, limits).await;
            progress.finish();
            listening
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_forwarded_to_addresses_and_never_to_names() {
        for (text, expected) in
            [("127.0.0.1:22", "127.0.0.1:22"), ("localhost:22", "127.0.0.1:22"), ("[::1]:22", "[::1]:22")]
        {
            assert_eq!(text.parse(), Ok(ForwardTo(expected.parse().unwrap())));
        }
        for text in ["example.com:22", "22", "localhost", "127.0.0.1:0", "localhost:70000", "::1:22:"] {
            assert!(text.parse::<ForwardTo>().is_err(), "{text}");
        }
    }
}
