//! `cargo xtask attack`: attacks on the program, each of which once succeeded.
//!
//! The attackers are clients, other users of this machine, the SAM bridge, outproxies and far ends. Everything runs on loopback,
//! without a router and without the internet. Each attack is a row of a table; the exit code is 1 if one of them succeeds.

#![forbid(unsafe_code)]

mod attacks;
mod bytes;
mod client;
mod command_line;
mod evil_outproxy;
mod proxy;
mod soak;
mod target;
mod wait;

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use attacks::{ATTACKS, Attack};
use command_line::{CommandLine, Mode};
use programs::Workspace;
use rustix::process::{Resource, getrlimit, setrlimit};
use target::Target;
use tokio::{runtime::Runtime, time::Instant};

/// Exit code of a wrong command line (`EX_USAGE` of sysexits.h), the same as that of `i2p-socks`.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let command_line = match CommandLine::parse(&arguments) {
        Ok(command_line) => command_line,
        Err(problem) => {
            eprintln!("error: {problem}\n\n{}", command_line::HELP);
            return ExitCode::from(USAGE);
        }
    };
    match run(&command_line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(CommandLine { build, mode }: &CommandLine) -> Result<()> {
    let runtime = Runtime::new().context("no runtime")?;
    if let Mode::Datagram(to) = mode {
        return runtime.block_on(attacks::send_datagram_of_another_user(*to));
    }
    raise_our_own_limit()?;
    let target = Target::built_from(&Workspace::of_this_program()?, *build)?;
    runtime.block_on(async {
        match mode {
            Mode::Rows(names) => attack(&target, names).await,
            Mode::Soak(minutes) => soak::run(&target, *minutes).await,
            Mode::Datagram(_) => Ok(()),
        }
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
