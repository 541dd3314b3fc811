//! The run of a program: sandbox, way, network, and the end of all three.

use std::io;

use i2p_contain::{
    gate::Limits,
    network::Network,
    sandbox::{Plan, Prepared, Refusal, Running},
};
use i2p_tunnel::{AddressOwner, AddressPool};
use tokio::task::JoinHandle;

use super::{
    link,
    names::Names,
    options::ExecCommand,
    outside::WayOut,
    proxy::ThroughProxy,
    request::{program, request},
    way::Way,
};
use crate::{
    command_error::CommandError,
    commands::streams::own::{OwnSessions, explained, this_process},
    config::{Config, tunnel::SessionPurpose},
    terminal::{output::remark, progress::Progress},
};

/// The exit code if the system does not tell that of the program.
const UNKNOWN_EXIT_CODE: u8 = 255;

/// Runs a program in the sandbox. Returns its exit code.
pub(super) async fn run(
    config: Config,
    command: &ExecCommand,
    progress: &Progress,
) -> Result<u8, CommandError> {
    let addresses = AddressPool::new(config.virtual_addresses.options()?).map_err(CommandError::run_time)?;
    let plan = Plan::for_this_machine(&request(&config, command, program(command)?)?)
        .map_err(CommandError::usage)?;
    plan.warnings().iter().for_each(|warning| remark(warning));
    // First, so that a machine on which no wall can be built is reported before anything is sent.
    let prepared = blocking(move || Prepared::new(plan)).await?.map_err(refused)?;
    let (tunnel, identity) = (command.tunnel.as_ref(), command.identity.as_ref());
    if let Some(way) = ThroughProxy::find(&config, tunnel, identity).await? {
        return contain(prepared, way, addresses, command.dns_only_i2p).await;
    }
    if let Some(identity) = identity {
        remark(&format!(
            "no proxy is running, so the identity {} has another address in I2P in each run. To give all its runs one address, start \
             i2p-socks run first",
            identity.as_str()
        ));
    }
    let way = OwnSessions::open(config, tunnel, SessionPurpose::Program, progress).await?;
    explained(way.prepare().await)?;
    progress.finish();
    contain(prepared, way, addresses, command.dns_only_i2p).await
}

/// Serves the network of a sandbox, and runs its program.
async fn contain(
    mut prepared: Prepared,
    way: impl Way,
    addresses: AddressPool,
    dns_only_i2p: bool,
) -> Result<u8, CommandError> {
    let network = serve(&mut prepared, way, addresses, dns_only_i2p)?;
    let ended = blocking(move || prepared.start().map(Running::wait)).await?;
    network.abort();
    Ok(ended.map_err(refused)?.unwrap_or_else(|error| {
        remark(&format!("the exit code of the program cannot be read: {error}"));
        UNKNOWN_EXIT_CODE
    }))
}

/// Serves the network of a sandbox until the task is aborted.
pub(super) fn serve(
    prepared: &mut Prepared,
    way: impl Way,
    addresses: AddressPool,
    dns_only_i2p: bool,
) -> Result<JoinHandle<io::Result<()>>, CommandError> {
    let link = link::received(prepared.take_link()).map_err(refused)?;
    let has_ipv6 = link.addresses().listener_v6.is_some();
    let names = Names::new(addresses, AddressOwner::of_client(&this_process()), has_ipv6, dns_only_i2p);
    let network = Network::new(link, WayOut::new(way, names), Limits::default());
    let network = network
        .map_err(|error| CommandError::run_time(format_args!("cannot serve the TUN device: {error}")))?;
    Ok(tokio::spawn(network.run()))
}

/// Does something that waits in a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CommandError> {
    tokio::task::spawn_blocking(work).await.map_err(CommandError::run_time)
}

fn refused(refusal: Refusal) -> CommandError {
    CommandError::run_time(refusal)
}
