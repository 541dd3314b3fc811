//! `generate`: files to install with the program.

use std::{fs, path::PathBuf};

use clap::Subcommand;
use clap_complete::Shell;

use super::{
    exec_path::ExecPath,
    nftables::{self, Interface},
    remark_other_configuration,
};
use crate::{
    command_error::CommandError,
    config::{Config, EXAMPLE},
    control::client::{ControlError, read_whole},
    pac::{self, BrowserProtocol},
    terminal::output::print_part,
};

/// The systemd service unit.
const SERVICE: &str = include_str!("../../dist/i2p-socks.service");
/// The AppArmor profile.
const APPARMOR: &str = include_str!("../../dist/i2p-socks.apparmor");
/// How the line of the service unit begins that starts the program.
const EXEC_START: &str = "ExecStart=/usr/bin/i2p-socks ";
/// The systemd socket unit that starts the service.
const SOCKET: &str = include_str!("../../dist/i2p-socks.socket");

/// Which file to print.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub(crate) enum GenerateCommand {
    /// Manual page; with --dir, one for each command.
    Man {
        /// Write the pages into this directory, which is created if it does not exist.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Completions for a shell.
    Completions {
        /// Name of the shell.
        shell: Shell,
    },
    /// Configuration file with every key, its default and its meaning.
    Config,
    /// Proxy auto-config file, which tells browsers which hosts to reach through the proxy.
    ///
    /// Made from the configuration, like /proxy.pac of the admin endpoint. If the running proxy has another configuration, says so. Use
    /// it in Firefox as a local file: a browser that fails to download its auto-config file connects to all hosts directly. Chromium
    /// does not read local ones; start it with --proxy-server instead.
    Pac {
        /// Use the proxy as an HTTP proxy instead of SOCKS5: the browser can send a password, and shows why a site cannot be opened.
        #[arg(long)]
        http: bool,
    },
    /// Firewall rules that send everything of a network interface to a tunnel, or reject it (Linux).
    ///
    /// For a gateway: TCP goes to the tunnel's listener redirect:IP:PORT, DNS to dns:IP:PORT. Everything else is rejected. Load the
    /// rules with nft -f.
    Nftables {
        /// The interface by which the clients are reached, such as a bridge.
        #[arg(long, value_name = "INTERFACE")]
        interface: Interface,
        /// The tunnel that serves them.
        #[arg(long, value_name = "NAME")]
        tunnel: String,
    },
    /// AppArmor profile that lets exec build its sandbox where AppArmor restricts user namespaces, as on Ubuntu.
    Apparmor,
    /// systemd service unit.
    Unit {
        /// Print the socket unit, with which systemd starts the service for the first client.
        #[arg(long)]
        socket: bool,
        /// Where the program is installed: an absolute path [default: /usr/bin/i2p-socks].
        #[arg(long, value_name = "PATH", conflicts_with = "socket")]
        exec_path: Option<ExecPath>,
    },
}

/// The service unit for a program at this path.
fn service_unit(exec_path: Option<&ExecPath>) -> String {
    let Some(path) = exec_path else { return SERVICE.to_owned() };
    SERVICE.replacen(EXEC_START, &format!("ExecStart={} ", path.escaped()), 1)
}

/// The completions for a shell.
fn completions(shell: Shell, definition: &mut clap::Command) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, definition, "i2p-socks", &mut script);
    if shell != Shell::Bash {
        return script;
    }
    // clap_complete turns the hyphen of the program's name into `__` where it says which subcommand stands on the line, and into
    // `__subcmd__` where it says what follows a subcommand, so that nothing would follow any.
    String::from_utf8_lossy(&script).replace("i2p__subcmd__socks", "i2p__socks").into_bytes()
}

/// The definition for manual pages. They show the usage that the help shows: their own leaves out the values of options, and the `--`
/// before the program of `exec`.
fn for_manual(definition: clap::Command) -> clap::Command {
    let mut definition = definition.version(env!("CARGO_PKG_VERSION"));
    definition.build();
    with_usage(definition)
}

fn with_usage(mut command: clap::Command) -> clap::Command {
    let usage = command.render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).to_owned();
    command.override_usage(usage).mut_subcommands(with_usage)
}

/// Prints the file.
pub(crate) async fn run(
    command: &GenerateCommand,
    config: &Config,
    mut definition: clap::Command,
) -> Result<(), CommandError> {
    let failed = |error| CommandError::run_time(format_args!("cannot write the output: {error}"));
    let mut text = Vec::new();
    match command {
        GenerateCommand::Man { dir: Some(dir) } => {
            let definition = for_manual(definition);
            let written = fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(definition, dir));
            return written.map_err(|error| {
                CommandError::run_time(format_args!(
                    "cannot write manual pages to {}: {error}. Choose another directory with --dir",
                    dir.display()
                ))
            });
        }
        GenerateCommand::Man { dir: None } => {
            let definition = for_manual(definition);
            clap_mangen::Man::new(definition).render(&mut text).map_err(failed)?;
        }
        GenerateCommand::Completions { shell } => {
            text = completions(*shell, &mut definition);
        }
        GenerateCommand::Config => text.extend_from_slice(EXAMPLE.as_bytes()),
        GenerateCommand::Pac { http } => {
            let protocol = if *http { BrowserProtocol::Http } else { BrowserProtocol::Socks5 };
            let file = pac::from_configuration(config, protocol).map_err(|error| {
                match !*http && pac::from_configuration(config, BrowserProtocol::Http).is_ok() {
                    true => CommandError::usage(format_args!(
                        "{error}. There is a tunnel that browsers can use as an HTTP proxy: add --http"
                    )),
                    false => error,
                }
            })?;
            // The running proxy serves the one for SOCKS5.
            let served = pac::from_configuration(config, BrowserProtocol::Socks5).ok();
            remark_other_configuration(config, "another proxy.pac", |proxy| async {
                let proxy = proxy;
                match proxy.get("/proxy.pac").await {
                    Ok(answer) => {
                        let whole = read_whole(answer).await?;
                        Ok(served.as_deref().is_some_and(|served| whole == served.as_bytes()))
                    }
                    // Browsers can use none of its tunnels.
                    Err(ControlError::Refused(_)) => Ok(served.is_none()),
                    Err(error) => Err(error),
                }
            })
            .await;
            text.extend_from_slice(file.as_bytes());
        }
        GenerateCommand::Nftables { interface, tunnel } => {
            text.extend_from_slice(nftables::rules(config, tunnel, interface)?.as_bytes());
        }
        GenerateCommand::Apparmor => text.extend_from_slice(APPARMOR.as_bytes()),
        GenerateCommand::Unit { socket: true, .. } => text.extend_from_slice(SOCKET.as_bytes()),
        GenerateCommand::Unit { socket: false, exec_path } => {
            text.extend_from_slice(service_unit(exec_path.as_ref()).as_bytes());
        }
    }
    print_part(&text).map(drop)
}
