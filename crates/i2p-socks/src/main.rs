//! `i2p-socks`: a SOCKS proxy into the I2P anonymous network. This binary composes the layers; what they do is in
//! their own crates.

#![forbid(unsafe_code)]

mod admin;
mod cli;
mod commands;
mod config;
mod control;
mod daemon;
mod failure;
mod names;
mod pac;
mod place;
mod status;
mod terminal;

use std::process::ExitCode;

use cli::{Cli, Command};
use commands::{check, connect, explain, generate, keys, listen, passwd, resolve, status::Question};
use config::Config;
use daemon::run::run as run_proxy;
use failure::Failure;
use i2p_tunnel::InheritedSockets;
use terminal::{log::Log, output, progress::Progress};

fn main() -> ExitCode {
    let cli = match Cli::try_parse_process() {
        Ok(cli) => cli,
        Err(error) => return output::parsed_badly(&error),
    };
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(cli: &Cli) -> Result<(), Failure> {
    if let Command::Generate(command) = cli.command() {
        return generate::run(&command, &cli.options, Cli::definition());
    }
    if let Command::Passwd { name } = cli.command() {
        return passwd::run(name.as_deref());
    }
    // While there is one thread: the environment is changed, so that programs started by this one take nothing for theirs.
    let inherited = InheritedSockets::from_environment();
    let config = Config::load(&cli.options)?;
    let progress = Progress::new(cli.options.verbosity());
    let log = Log::start(config.log, cli.options.verbosity(), &progress);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::run_time(format!("cannot start worker threads: {error}")))?;
    let result = runtime.block_on(async {
        match cli.command() {
            Command::Run => run_proxy(config, inherited, &cli.options, &progress, &log).await,
            Command::Explain { host, port, json } => explain::run(&config, &host, port, json),
            Command::Check { live } => check::run(&config, live).await,
            Command::Keys(command) => keys::run(&config, &command).await,
            Command::Generate(command) => generate::run(&command, &cli.options, Cli::definition()),
            Command::Resolve { name, json } => resolve::run(&config, &name, json).await,
            Command::Passwd { name } => passwd::run(name.as_deref()),
            Command::Status { json, wait, limit, admin } => {
                let question = Question { admin, wait: wait.then_some(limit), json };
                commands::status::run(&config, &question).await
            }
            Command::Connect(command) => connect::connect(config, &command, &progress).await,
            Command::Listen(command) => listen::listen(config, &command, &progress).await,
            Command::Names { command, json } => commands::names::run(&config, &command, json).await,
            #[cfg(feature = "embedded")]
            Command::Demo => commands::demo::run(config, inherited, &progress).await,
            #[cfg(not(feature = "embedded"))]
            Command::Demo => Err(Failure::usage(
                "this build has no embedded router, and so no private network to show: install i2p-socks with its \
                 default features",
            )),
        }
    });
    progress.finish();
    // Not waiting for what blocks: everything that matters has ended.
    runtime.shutdown_background();
    result
}
