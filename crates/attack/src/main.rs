//! `cargo xtask attack`: attacks on the program, each of which once succeeded.
//!
//! The attackers are clients, other users of this machine, the SAM bridge, outproxies and far ends. Everything runs in a network
//! namespace, where clients have addresses of their own, without the internet. Each attack is a row of a table; the exit code is 1 if
//! one of them succeeds.

#![forbid(unsafe_code)]

mod attacks;
mod bytes;
mod client;
mod command_line;
mod evil_outproxy;
mod evil_resolver;
mod proxy;
mod soak;
mod target;
mod wait;

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use attacks::{ATTACKS, Attack};
use command_line::{CommandLine, Mode};
use lab::{
    namespace::{self, Namespaces},
    suite::Suite,
};
use programs::{Program, Workspace, install_missing};
use rustix::process::{Resource, getrlimit, setrlimit};
use target::Target;
use tokio::{runtime::Runtime, time::Instant};

/// Attacks look into the `/proc` of the program.
const SUITE: Suite = Suite { name: "attack", namespaces: Namespaces::NetworkAndProcesses };

/// What makes its namespace, and what asks the resolver of the machine.
const PROGRAMS: [Program; 3] = [("getent", "libc-bin"), ("ip", "iproute2"), ("unshare", "util-linux")];

fn main() -> ExitCode {
    let lab::suite::CommandLine { is_inside, arguments } = lab::suite::CommandLine::of_this_process();
    match CommandLine::parse(&arguments) {
        Ok(command_line) => SUITE.run(|workspace| run(workspace, is_inside, &command_line, &arguments)),
        Err(problem) => SUITE.wrong_usage(&format!("other arguments ({problem})\n\n{}", command_line::HELP)),
    }
}

fn run(
    workspace: &Workspace,
    is_inside: bool,
    CommandLine { build, mode }: &CommandLine,
    arguments: &[String],
) -> Result<()> {
    if let Mode::Datagram(to) = mode {
        let runtime = Runtime::new().context("no runtime")?;
        return runtime.block_on(attacks::send_datagram_of_another_user(*to));
    }
    if !is_inside {
        install_missing(&PROGRAMS, workspace)?;
        Target::build(workspace, *build)?;
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        return SUITE.run_inside(workspace, &arguments);
    }
    raise_our_own_limit()?;
    let target = Target::of(workspace, *build);
    namespace::set_up(&[])?;
    namespace::add_network(client::NETWORK)?;
    SUITE.in_lab(workspace, async |_| match mode {
        Mode::Rows(names) => attack(&target, names).await,
        Mode::Soak(minutes) => soak::run(&target, *minutes).await,
        Mode::Datagram(_) => Ok(()),
    })
}

/// This process has the other ends of all sockets.
fn raise_our_own_limit() -> Result<()> {
    let mut descriptors = getrlimit(Resource::Nofile);
    descriptors.current = descriptors.maximum;
    setrlimit(Resource::Nofile, descriptors).context("could not raise the limit of open files")
}

/// Makes the attacks with these names, or all of them, one after the other, and prints what held.
async fn attack(target: &Target, names: &[String]) -> Result<()> {
    let chosen = |attack: &&Attack| names.is_empty() || names.iter().any(|name| name == attack.name);
    let chosen: Vec<_> = ATTACKS.iter().filter(chosen).collect();
    ensure!(
        !chosen.is_empty() && chosen.len() >= names.len(),
        "there is no such attack\n\n{}",
        attacks::list()
    );
    println!("{:4} {:22} {:13} what has to hold", "", "attack", "attacker");
    let (begin, mut succeeded) = (Instant::now(), Vec::new());
    for attack in &chosen {
        let start = Instant::now();
        let outcome = (attack.run)(target).await;
        let took = start.elapsed().as_secs_f64();
        let (word, detail) = match &outcome {
            Ok(measured) => ("held", measured.clone()),
            Err(error) => ("FELL", format!("{error:#}")),
        };
        println!("{word} {:22} {:13} {} ({took:.1} s)", attack.name, attack.attacker, attack.holds);
        println!("{:41} {detail}", "");
        if outcome.is_err() {
            succeeded.push(attack.name);
        }
    }
    println!(
        "\nattack: {} held, {} fell, in {:.0} s",
        chosen.len() - succeeded.len(),
        succeeded.len(),
        begin.elapsed().as_secs_f64()
    );
    ensure!(succeeded.is_empty(), "these attacks succeed: {}", succeeded.join(", "));
    Ok(())
}
