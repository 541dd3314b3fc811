//! `connect`: connects stdin and stdout to a host in I2P, by a stream or by datagrams.

use std::{pin::pin, time::Duration};

use clap::Args;
use i2p_name::Target;
use i2p_tunnel::{Failure as Cause, OutsideHost, Verdict};
use tokio::time::timeout;

#[cfg(unix)]
use super::streams::fd_pass;
use super::{
    PORT_IS_AN_ARGUMENT, host_advice,
    streams::{
        asked::ConnectTarget,
        datagrams,
        own::{OwnSessions, explained},
        reply,
        running::RunningProxy,
        stdio,
        user::{User, UserOptions},
    },
};
use crate::{
    command_error::CommandError,
    config::{
        Config,
        tunnel::{SessionPurpose, TunnelName},
        values::{duration, port},
    },
    terminal::progress::Progress,
};

/// `connect`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct ConnectCommand {
    /// Host name, .b32.i2p address or destination in base64.
    // One destination of 64 begins with a hyphen.
    #[arg(value_name = "HOST", allow_hyphen_values = true)]
    host: String,
    /// Port on that host. Most services in I2P answer on every port.
    #[arg(value_name = "PORT", default_value_t = 0, value_parser = port)]
    port: u16,
    /// Send datagrams: each read of stdin is one. Replies go to stdout.
    #[arg(long)]
    udp: bool,
    /// With --udp: how long to wait for replies after the end of stdin.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration, requires = "udp")]
    linger: Duration,
    /// Hand the open connection to the program that started this command, over the Unix socket that is its stdout, and end. For ssh
    /// with ProxyUseFdpass, and nc with -F. This needs a running proxy.
    #[cfg(unix)]
    #[arg(long, conflicts_with = "udp")]
    fd_pass: bool,
    /// Use this tunnel of the configuration [default: the first; with --udp, the first that carries datagrams].
    #[arg(long, value_name = "NAME")]
    tunnel: Option<TunnelName>,
    #[command(flatten)]
    user: UserOptions,
}

/// An answer that takes longer is explained. A new stream through I2P often takes a few seconds.
const SLOW: Duration = Duration::from_secs(5);

/// Connects stdin and stdout to a host, by a stream or by datagrams.
pub(crate) async fn connect(
    config: Config,
    command: &ConnectCommand,
    progress: &Progress,
) -> Result<(), CommandError> {
    let target = Target::parse(command.host.as_bytes()).map_err(|error| {
        let advice = host_advice(&command.host, PORT_IS_AN_ARGUMENT);
        CommandError::usage(format_args!("this host cannot be connected to: {error}{advice}"))
    })?;
    let asked = ConnectTarget { host: command.host.clone(), target, port: command.port };
    let user = User::of(&command.user)?;
    let running = RunningProxy::find(&config, command.tunnel.as_ref(), user).await?;
    if running.is_none()
        && let Some(cause) = refused_by_routes(&config, &asked)
    {
        return Err(CommandError::run_time(reply::explain(cause)));
    }
    #[cfg(unix)]
    if running.is_none() && command.fd_pass {
        return Err(CommandError::run_time(
            "no proxy is running with this state directory, and --fd-pass needs one: a stream of this command would end with it. \
             Start i2p-socks run, or leave --fd-pass out (ssh: ProxyUseFdpass no)",
        ));
    }
    let purpose = if command.udp { SessionPurpose::Datagrams } else { SessionPurpose::Streams };
    let own = async || OwnSessions::open(config, command.tunnel.as_ref(), purpose, progress).await;
    match (running, command.udp) {
        (Some(proxy), false) => {
            #[cfg(unix)]
            if command.fd_pass {
                fd_pass::check_stdout()?;
            }
            let stream = remark_if_slow(progress, proxy.connect(&asked)).await?;
            #[cfg(unix)]
            if command.fd_pass {
                return fd_pass::pass(&stream);
            }
            stdio::relay(stdio::PeerStream::through_proxy(stream)).await
        }
        (Some(proxy), true) => {
            proxy.refuse_demo("carries no datagrams: it carries only streams to its own page")?;
            datagrams::through_proxy(&proxy, &asked, command.linger).await
        }
        (None, false) => {
            let own = own().await?;
            let stream = own.connect(&asked).await?;
            progress.finish();
            stdio::relay(stream).await
        }
        (None, true) => {
            let own = own().await?;
            let way = explained(own.associate().await)?;
            progress.finish();
            datagrams::through_session(&way, &asked, command.linger).await
        }
    }
}

/// Waits for the proxy. Says what it may be waiting for if that takes long.
async fn remark_if_slow<T>(progress: &Progress, answer: impl Future<Output = T>) -> T {
    let mut answer = pin!(answer);
    if let Ok(answered) = timeout(SLOW, &mut answer).await {
        return answered;
    }
    progress.remark(
        "still waiting for the proxy: it may be building I2P tunnels (i2p-socks status shows that), or the host is slow",
    );
    answer.await
}

/// Why the routes refuse the target, if they do. No router has to be found or started to know.
fn refused_by_routes(config: &Config, asked: &ConnectTarget) -> Option<Cause> {
    match config.routes().decide(&asked.target, asked.port) {
        Verdict::Rejected { .. } => Some(Cause::RouteRejects),
        Verdict::NoRoute if OutsideHost::is_near_target(&asked.target) => Some(Cause::LocalHost),
        Verdict::NoRoute => Some(Cause::NotAllowed),
        _ => None,
    }
}
