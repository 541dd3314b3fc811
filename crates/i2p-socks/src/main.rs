//! `i2p-socks`: a SOCKS proxy into the I2P anonymous network. The protocols are in crates of their own; this binary puts them
//! together.

#![forbid(unsafe_code)]

mod admin;
mod cli;
mod command_error;
mod commands;
mod config;
mod control;
mod core_dumps;
mod daemon;
mod files;
#[cfg(target_os = "linux")]
mod i2pd;
mod json;
mod listener;
mod names;
mod own_machine;
mod pac;
mod status;
mod terminal;

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};

use cli::{Cli, Command, parse::UsageError};
use command_error::CommandError;
use commands::{
    check, connect, exec, explain, generate, keys, listen, names_print::Manner, new_identity, passwd, reload,
    resolve, status::StatusQuery,
};
use config::{Config, file::ConfigFile, log::LogFormat, options::Options, verbosity::Verbosity};
use daemon::{preflight, run::run as run_proxy};
use i2p_tunnel::InheritedSockets;
use terminal::{
    log::Log,
    output::{self, Format},
    progress::Progress,
};

fn main() -> ExitCode {
    // In the process of a stage of a sandbox, this is all that is done.
    if let Some(code) = exec::run_if_stage() {
        return code;
    }
    // In the process of the embedded router, this does not return.
    #[cfg(all(unix, feature = "embedded"))]
    i2p_embedded::run_child();
    // In the process that becomes i2pd, neither does this.
    #[cfg(target_os = "linux")]
    i2pd::become_i2pd_if_told();
    // Before anything that may read keys and passwords.
    let core_dumps = core_dumps::forbid();
    let cli = match Cli::try_parse_process() {
        Ok(cli) => cli,
        Err(UsageError { error, options }) => {
            // --help and --version arrive here, too.
            if error.use_stderr() {
                let file = ConfigFile::read(&options).ok();
                output::set_stderr_format(format_of_stderr(file.as_ref(), &options, None));
            }
            let code = output::report_parse_error(&error);
            output::flush(None);
            return code;
        }
    };
    let file = ConfigFile::read(&cli.options);
    // What is said from here on is in the format of the log, even if it is that the configuration is wrong.
    let format = format_of_stderr(file.as_ref().ok(), &cli.options, Some(&cli.command()));
    output::set_stderr_format(format);
    if let Err(error) = core_dumps {
        output::remark(&format!(
            "core dumps cannot be forbidden: {error}. If this program crashes, its keys and passwords may end up in a file"
        ));
    }
    let code = match run(&cli, file, format) {
        Ok(code) => code,
        Err(error) => output::report(&error),
    };
    output::flush(cli.command().patience());
    code
}

/// The format of the log that is asked for, as far as that can be read. A person at a terminal gets text from every command but `run`.
fn format_of_stderr(file: Option<&ConfigFile>, options: &Options, command: Option<&Command>) -> LogFormat {
    let asked = file.unwrap_or(&ConfigFile::default()).log_format(options);
    if is_for_people(command, io::stderr().is_terminal()) { LogFormat::Text } else { asked }
}

/// Whether a person reads what this command says. `None`: a command line that cannot be parsed.
fn is_for_people(command: Option<&Command>, at_terminal: bool) -> bool {
    at_terminal && command != Some(&Command::Run)
}

/// The configuration, checked as far as the command needs it.
fn load(cli: &Cli, file: &ConfigFile) -> Result<Config, CommandError> {
    match cli.command() {
        Command::Check { .. } => preflight::load_and_check_everything(file, &cli.options),
        command if command.needs_configuration() => file.load(&cli.options),
        _ => file.parse(&cli.options),
    }
}

fn run(
    cli: &Cli,
    file: Result<ConfigFile, CommandError>,
    format: LogFormat,
) -> Result<ExitCode, CommandError> {
    // Before there are other threads, because it changes the environment: child processes must not take over our sockets.
    let inherited = InheritedSockets::from_environment();
    let mut config = match file.and_then(|file| load(cli, &file)) {
        Err(_) if !cli.command().needs_configuration() => Config::without_file(&cli.options, format),
        Err(error) if matches!(cli.command(), Command::Exec(_)) => return Err(error.without_start()),
        config => config?,
    };
    config.log.format = format;
    let progress = Progress::new(cli.options.verbosity().with_level(config.log.level), config.log.format);
    let log = Log::start(config.log, cli.options.verbosity(), &progress, cli.command().answers());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::run_time(format!("cannot start worker threads: {error}")))?;
    let result = runtime.block_on(async {
        let done = match cli.command() {
            Command::Run => run_proxy(config, inherited, &cli.options, &progress, &log).await,
            Command::Explain { host, port, json } => explain::run(&config, &host, port, Format::json_if(json)).await,
            Command::Check { live } => check::run(&config, live).await,
            Command::Keys(command) => keys::run(&config, &command).await,
            Command::Generate(command) => generate::run(&command, &config, Cli::definition()).await,
            Command::Resolve { name, json } => resolve::run(&config, &name, Format::json_if(json)).await,
            Command::Passwd { name } => passwd::run(name.as_deref()),
            Command::Status { json, wait, limit, admin } => {
                let needs_options = cli.options.config.is_some() || cli.options.state_dir.is_some();
                let (wait, format) = (wait.then_some(limit), Format::json_if(json));
                let query = StatusQuery { admin, wait, format, needs_options };
                commands::status::run(&config, &query).await
            }
            Command::Reload { json } => reload::run(&config, cli.options.config.as_deref(), Format::json_if(json)).await,
            Command::NewIdentity { credentials, json } => {
                new_identity::run(&config, credentials.as_deref(), Format::json_if(json)).await
            }
            Command::Connect(command) => connect::connect(config, &command, &progress).await,
            Command::Exec(command) => return exec::exec(config, &command, &progress).await,
            Command::Listen(command) => listen::listen(config, &command, &progress).await,
            Command::Names { command, json } => {
                let quiet = cli.options.verbosity() == Verbosity::Quiet;
                commands::names::run(&config, &command, Manner { format: Format::json_if(json), quiet }).await
            }
            #[cfg(feature = "embedded")]
            Command::Demo => commands::demo::run(config, inherited, &progress).await,
            #[cfg(not(feature = "embedded"))]
            Command::Demo => Err(CommandError::usage(
                "this build has no embedded router, which the demo needs: install i2p-socks with its default features",
            )),
        };
        done.map(|()| ExitCode::SUCCESS)
    });
    progress.finish();
    // Blocking work, such as reading stdin, is not waited for.
    runtime.shutdown_background();
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_log_of_run_is_json_at_a_terminal() {
        let check = Command::Check { live: false };
        assert!(is_for_people(Some(&check), true) && is_for_people(None, true));
        assert!(!is_for_people(Some(&Command::Run), true));
        for command in [None, Some(&check), Some(&Command::Run)] {
            assert!(!is_for_people(command, false));
        }
    }
}
