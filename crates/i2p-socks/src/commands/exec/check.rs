//! `exec --check`: says for each wall whether it stands, and what a hostile program has tried behind them.

use std::fmt::Write;

use i2p_contain::sandbox::{
    Plan, Prepared, Wall,
    probes::{Check, CheckError, Row},
};
use i2p_name::{NamedTarget, Target};
use i2p_tunnel::{AddressPool, Failure};
use tokio::net::TcpStream;

use super::{
    options::ExecCommand,
    request,
    run::{blocking, serve},
    way::{Association, Received, Way},
};
use crate::{
    command_error::CommandError,
    config::Config,
    terminal::output::{print, remark},
};

/// Checks the walls that a run with these options would have. Uses no router.
///
/// # Errors
/// A wall cannot be built, is left out, or does not hold.
pub(super) async fn run(config: &Config, command: &ExecCommand) -> Result<(), CommandError> {
    let addresses = AddressPool::new(config.virtual_addresses.options()?).map_err(CommandError::run_time)?;
    let check = Check::prepare().map_err(|error| {
        CommandError::run_time(format_args!(
            "cannot prepare what the hostile program tries to reach: {error}"
        ))
    })?;
    let plan = Plan::for_this_machine(&request::request(config, command, check.program())?)
        .map_err(CommandError::usage)?;
    plan.warnings().iter().for_each(|warning| remark(warning));
    let walls: Vec<_> = plan.walls().collect();
    let mut prepared =
        blocking(move || Prepared::new(plan)).await?.map_err(|refusal| failed(&refusal.into()))?;
    let network = serve(&mut prepared, Nowhere, addresses, command.dns_only_i2p)?;
    let rows = blocking(move || check.run(prepared)).await?;
    network.abort();
    let rows = rows.map_err(|error| failed(&error))?;
    print(&report(&walls, &rows))?;
    let missing = Wall::ALL.iter().filter(|wall| !walls.contains(wall)).count();
    let out = rows.iter().filter(|row| !row.held).count();
    match (missing, out) {
        (0, 0) => Ok(()),
        (missing, out) => {
            Err(CommandError::run_time(format_args!("walls left out: {missing}; tries that got out: {out}")))
        }
    }
}

fn failed(error: &CheckError) -> CommandError {
    CommandError::run_time(error)
}

/// Every wall with its purpose, and every try with its outcome.
fn report(walls: &[Wall], rows: &[Row]) -> String {
    let mut text = String::from("Walls:\n");
    for wall in Wall::ALL {
        let state = if walls.contains(&wall) { "stands  " } else { "LEFT OUT" };
        let _ = writeln!(text, "  {state}  {wall}: {}", wall.purpose());
    }
    text.push_str("Tries of a hostile program:\n");
    for row in rows {
        let state = if row.held { "held   " } else { "GOT OUT" };
        let _ = writeln!(text, "  {state}  {}: {}", row.name, row.detail.replace('\n', " "));
    }
    text
}

/// A way that leads nowhere.
struct Nowhere;

impl Way for Nowhere {
    type Stream = TcpStream;
    type Association = NoAssociation;

    async fn dial(&self, _target: &Target, _port: u16) -> Result<TcpStream, Failure> {
        Err(Failure::NotAllowed)
    }

    async fn lookup(&self, _name: &NamedTarget) -> Result<(), Failure> {
        Err(Failure::NameUnknown)
    }

    fn carries_datagrams(&self) -> bool {
        false
    }

    async fn associate(&self) -> Result<NoAssociation, Failure> {
        Err(Failure::CommandNotSupported)
    }
}

/// There is none.
enum NoAssociation {}

impl Association for NoAssociation {
    async fn send(&self, _target: &Target, _port: u16, _payload: &[u8]) -> Result<(), Failure> {
        match *self {}
    }

    async fn receive(&self) -> Result<Received, Failure> {
        match *self {}
    }
}
