//! The command line: commands, arguments and options.

pub(crate) mod parse;

use std::time::Duration;

use clap::{Arg, Args, CommandFactory, Parser, Subcommand, builder::Resettable};

use crate::{
    commands::{
        connect::ConnectCommand, exec::ExecCommand, generate::GenerateCommand, keys::KeysCommand,
        listen::ListenCommand, names::NamesCommand, status::AdminUrl,
    },
    config::{
        options::Options,
        values::{duration, port},
    },
};

/// A SOCKS proxy into the I2P anonymous network.
///
/// Programs that speak SOCKS4, SOCKS4a, SOCKS5 or HTTP reach .i2p hosts through it. It uses the SAM bridge of an I2P
/// router (i2pd, Java I2P, emissary). If none answers, it starts an installed i2pd, or if there is none, an embedded router.
/// Without a command, it does the same as `run`.
#[derive(Debug, Parser)]
#[command(name = "i2p-socks", version = env!("I2P_SOCKS_VERSION"), max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    pub(crate) options: Options,
}

const AFTER_HELP: &str = "\
Exit codes: 0 success, or stopped as requested; 64 wrong usage or configuration, found before anything is sent; 1 any other failure.

To see it work without a router:
  i2p-socks demo
With a router that has an address book (i2pd, Java I2P):
  i2p-socks run
and in another shell:
  curl --socks5-hostname 127.0.0.1:4450 http://i2p-projekt.i2p/";

impl Cli {
    /// The definition of the command line. Its help shows the options of all commands once, and those of a command at that command.
    pub(crate) fn definition() -> clap::Command {
        Self::definition_without_variables(|_| false)
    }

    /// The definition, in which the variables of these options in the environment are ignored.
    fn definition_without_variables(ignored: impl Fn(&Arg) -> bool) -> clap::Command {
        let definition = <Self as CommandFactory>::command();
        let definition =
            definition.mut_args(|arg| if ignored(&arg) { arg.env(Resettable::Reset) } else { arg });
        definition.mut_subcommands(|command| match command.get_name() {
            // It does the same as no command, so these options are its own.
            "run" => command,
            _ => command.defer(hide_shared_options),
        })
    }

    pub(crate) fn command(&self) -> Command {
        self.command.clone().unwrap_or(Command::Run)
    }
}

impl Command {
    /// How long its end may take because nobody reads what it has written; `None`: as long as that takes.
    pub(crate) fn patience(&self) -> Option<Duration> {
        match self {
            Self::Run | Self::Demo | Self::Listen(_) => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// Whether it prints an answer and ends, and is no connection or service.
    pub(crate) fn answers(&self) -> bool {
        !matches!(self, Self::Run | Self::Demo | Self::Listen(_) | Self::Connect(_) | Self::Exec(_))
    }

    /// Whether a configuration that is wrong is in its way. It is not if the answer comes from the running proxy, which the command
    /// finds by its state directory, or has nothing to do with a configuration.
    pub(crate) fn needs_configuration(&self) -> bool {
        match self {
            Self::Status { .. } | Self::Reload { .. } | Self::NewIdentity { .. } | Self::Passwd { .. } => {
                false
            }
            Self::Generate(command) => {
                matches!(command, GenerateCommand::Pac { .. } | GenerateCommand::Nftables { .. })
            }
            _ => true,
        }
    }
}

/// Where the help of a command refers to for the options that it does not show.
const SHARED_OPTIONS_HELP: &str = "\
Options of all commands, such as --config FILE and --state-dir DIR: i2p-socks --help";

/// Hides the options of all commands in the help of this command and of those below it. clap has added them before it calls this,
/// which it does for the command that is used alone.
fn hide_shared_options(command: clap::Command) -> clap::Command {
    let shared = Options::augment_args(clap::Command::default());
    let is_shared = |arg: &Arg| shared.get_arguments().any(|one| one.get_id() == arg.get_id());
    command
        .mut_args(|arg| if is_shared(&arg) { arg.hide(true) } else { arg })
        .after_help(SHARED_OPTIONS_HELP)
        .mut_subcommands(|command| command.defer(hide_shared_options))
}

#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub(crate) enum Command {
    /// Serve SOCKS clients until interrupted.
    Run,
    /// Try the proxy without a router and without internet: start a private I2P network in this process.
    ///
    /// The network has one page. The command prints curl commands that fetch it, and runs until interrupted. If no proxy is running
    /// with the same --state-dir, the commands status, resolve, new-identity and connect use the demo. It has no address book and no
    /// keys, and carries neither datagrams nor streams from peers. --router and --sam have no effect.
    Demo,
    /// Look up a name, and show what each source of names answers.
    ///
    /// Asks the sources that the proxy asks, in the same order: names.static, the address book, the router. Jump services are not
    /// asked. Exit code 1 if the name is unknown.
    Resolve {
        /// Host name, .b32.i2p address or destination in base64.
        // One destination of 64 begins with a hyphen.
        #[arg(value_name = "NAME", allow_hyphen_values = true)]
        name: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show where a request would go, which route of the configuration decides, and which filter the stream gets.
    ///
    /// Reads only the configuration, and contacts no host and no router. If the running proxy has another configuration, says so. A
    /// host outside I2P goes to the outproxies of the first route that matches, and is refused if no route matches. A stream gets the
    /// first `[[filter]]` that matches; nothing is said of filters where there is none.
    Explain {
        /// Host name or IP address that a client would ask for.
        #[arg(value_name = "HOST")]
        host: String,
        /// Port that the client would ask for.
        #[arg(value_name = "PORT", value_parser = port)]
        port: u16,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check the configuration, and report everything that is wrong with it.
    ///
    /// Does not listen for clients. Exit code 64 if the configuration is wrong, 1 if no router answers --live.
    Check {
        /// Connect to the router as well, and show which features its SAM bridge supports. If none answers, say what run would do.
        #[arg(long)]
        live: bool,
    },
    /// Show or create the identities of tunnels with key = "persistent".
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Print files to install with the program: manual pages, shell completions, configuration, systemd units,
    /// proxy.pac, rules for a firewall, an AppArmor profile.
    #[command(subcommand)]
    Generate(GenerateCommand),
    /// Show the status of the running proxy: tunnels, I2P sessions with their addresses, failures.
    ///
    /// Asks the proxy that uses the same state directory. Exit code 0 if it serves clients, otherwise 1.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Wait until the proxy serves clients.
        #[arg(long)]
        wait: bool,
        /// With --wait: longest time to wait.
        #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
        limit: Duration,
        /// Ask this admin endpoint (http://IP:PORT/ or unix:PATH) instead of the control socket.
        #[arg(long, value_name = "ADDRESS")]
        admin: Option<AdminUrl>,
    },
    /// Make the running proxy read its configuration again, and say what has changed.
    ///
    /// The proxy reads the file that it was started with; options of this command do not change that. Either all of the new
    /// configuration takes effect, or none of it. If none of it does, the exit code is 1. Open streams continue. SIGHUP does the same.
    Reload {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Give clients of the running proxy new identities in I2P.
    ///
    /// New requests come from new destinations. Open streams keep the old ones, and persistent identities do not change. SIGUSR1
    /// does the same for all clients.
    NewIdentity {
        /// Only for clients that send this username, or user ID in SOCKS4. Exit code 1 if no session is open for them.
        #[arg(long, value_name = "USERNAME")]
        credentials: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Connect stdin and stdout to a host in I2P, for example as the ProxyCommand of ssh.
    ///
    /// Uses the running proxy with the same state directory, or the demo. If neither is running, opens a session of its own, which
    /// takes up to a minute. That session needs a running router, or --router i2pd or --router embedded: with --router auto, the
    /// command starts no router. Ends when the host closes the stream. Exit code 1 if the host cannot be reached.
    Connect(ConnectCommand),
    /// Accept streams from I2P, and print the address that peers connect to.
    ///
    /// Accepts one stream, connects it to stdin and stdout, and prints the address on stderr. With --forward, accepts streams until
    /// interrupted, and prints the address on stdout.
    ///
    /// Uses the running proxy with the same state directory; its tunnel needs incoming = true. If no proxy is running, opens a
    /// session of its own, which takes up to a minute. That session needs a running router, or --router i2pd or --router embedded:
    /// with --router auto, the command starts no router. The address changes each time unless the tunnel has key = "persistent".
    Listen(ListenCommand),
    /// Run a program so that all its traffic goes through I2P and nothing else leaves. Linux only.
    ///
    /// The program runs in a sandbox with a network of its own. It needs no proxy settings: every connection is dialled through I2P
    /// before the program sees it open, and names are answered by the proxy. What cannot go through I2P fails. It sees system
    /// programs, a home directory of its own, and what --bind and --ro-bind show. If one wall of the sandbox cannot be built, the
    /// program is not started.
    ///
    /// Uses the running proxy with the same state directory. If none is running, opens sessions of its own, and starts a router if
    /// none answers, as run does. The exit code is the program's, or 128 and the number of the signal that ended it; 127 if the
    /// program is not there, and 126 if it cannot be run; 69 or 64 if it was not started, and stderr says why.
    Exec(ExecCommand),
    /// Create an entry for a users file (auth = "required").
    ///
    /// Asks for the password, or reads it from stdin if that is not a terminal. Prints a line to add to the users file.
    Passwd {
        /// User name [default: the first line of stdin].
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
    /// Manage the address book: list, add, remove, import, subscribe.
    ///
    /// The address book is a file in the state directory. If a proxy is running with that directory, the command goes through it.
    Names {
        #[command(subcommand)]
        command: NamesCommand,
        /// Print JSON.
        #[arg(long, global = true)]
        json: bool,
    },
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::error::ErrorKind;

    use super::{parse::global_options_first, *};
    use crate::config::verbosity::Verbosity;

    #[test]
    fn the_definition_is_sound() {
        Cli::definition().debug_assert();
    }

    /// The help of a command and of all commands below it, with their names.
    fn helps(command: &mut clap::Command) -> Vec<(String, String)> {
        let mut all = vec![(command.get_name().to_owned(), command.render_long_help().to_string())];
        let below = command.get_subcommands_mut().filter(|command| command.get_name() != "help");
        all.extend(below.flat_map(helps));
        all
    }

    #[test]
    fn options_of_all_commands_are_in_the_help_of_the_program_and_of_run_alone() {
        let mut definition = Cli::definition();
        definition.build();
        let all = helps(&mut definition);
        assert!(all.len() > 20, "{}", all.len());
        let shared = ["--listen", "--open-to-others", "--router", "--sam ", "-o ", "--quiet", "--verbose"];
        for (name, help) in all {
            let shows_all = matches!(name.as_str(), "i2p-socks" | "run");
            for option in shared {
                let shown = help
                    .lines()
                    .map(str::trim_start)
                    .any(|line| line.starts_with('-') && line.contains(option));
                assert_eq!(shown, shows_all, "{option} in\n{help}");
            }
            assert!(shows_all || help.contains("Options of all commands, such as"), "{name}\n{help}");
            let json_is_shown = help.lines().any(|line| line.trim_start() == "--json");
            assert!(
                json_is_shown || !matches!(name.as_str(), "names" | "add" | "subscribe"),
                "{name}\n{help}"
            );
        }
        let kept = parse("i2p-socks names --json list --state-dir /tmp -v a").unwrap();
        assert_eq!((kept.options.verbose, kept.options.state_dir), (1, Some("/tmp".into())));
    }

    #[test]
    fn options_stand_before_and_after_the_command_and_without_one() {
        for line in ["i2p-socks run --sam h:1", "i2p-socks --sam h:1 run", "i2p-socks --sam h:1"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(cli.command(), Command::Run);
            assert_eq!(cli.options.sam.unwrap().0.to_string(), "h:1");
        }
    }

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        let words = line.split(' ').map(OsString::from);
        Cli::try_parse_from(global_options_first(&Cli::definition(), words))
    }

    #[test]
    fn options_before_and_after_the_command_add_up() {
        let cli = parse("i2p-socks -o limits.dial=1s names -o limits.bind=2s list -olimits.idle=3s").unwrap();
        assert!(matches!(cli.command(), Command::Names { .. }));
        let expected =
            ["limits.dial=1s", "limits.bind=2s", "limits.idle=3s"].map(|text| text.parse().unwrap());
        assert_eq!(cli.options.overrides, expected);
        let cli = parse("i2p-socks --listen 127.0.0.1:1,127.0.0.1:2 run --listen=127.0.0.1:3").unwrap();
        let expected = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"].map(|text| text.parse().unwrap());
        assert_eq!(cli.options.listen, expected);
        for line in ["i2p-socks -v run -v", "i2p-socks run -vv", "i2p-socks -v run --verbose"] {
            assert_eq!(parse(line).unwrap().options.verbosity(), Verbosity::Trace, "{line}");
        }
        let cli = parse("i2p-socks run -vo limits.dial=1s").unwrap();
        assert_eq!((cli.options.verbose, cli.options.overrides.len()), (1, 1));
        // A value that looks like an option is a value.
        assert_eq!(parse("i2p-socks run --state-dir=-v -v").unwrap().options.verbose, 1);
    }

    #[test]
    fn a_mistake_is_found_on_either_side_of_the_command() {
        for (line, kind) in [
            ("i2p-socks --sam h:1 run --sam h:2", ErrorKind::ArgumentConflict),
            ("i2p-socks run -o", ErrorKind::InvalidValue),
            ("i2p-socks status --state-dir", ErrorKind::InvalidValue),
            ("i2p-socks -o limits.dial run", ErrorKind::ValueValidation),
            ("i2p-socks run -- -o limits.dial=1s", ErrorKind::UnknownArgument),
            ("i2p-socks run -vx", ErrorKind::UnknownArgument),
            ("i2p-socks run -", ErrorKind::UnknownArgument),
        ] {
            assert_eq!(parse(line).unwrap_err().kind(), kind, "{line}");
        }
    }

    /// I2P's base64 has hyphens, and one destination of 64 begins with one.
    #[test]
    fn a_destination_that_begins_with_a_hyphen_is_not_an_option() {
        for second in "8vqohA-~".chars() {
            let destination = format!("-{second}{}AAAA", "abAB01-~".repeat(64));
            for line in [
                vec!["resolve", &destination, "--json"],
                vec!["resolve", "-v", &destination],
                vec!["names", "add", "a.i2p", &destination, "--replace"],
                vec!["connect", &destination, "80"],
                vec!["connect", "--udp", &destination, "7", "--linger", "1s"],
            ] {
                let line = ["i2p-socks"].into_iter().chain(line).collect::<Vec<_>>().join(" ");
                let cli = parse(&line).unwrap_or_else(|error| panic!("{second}: {error}"));
                assert!(format!("{cli:?}").contains(&format!("\"{destination}\"")), "{second}");
            }
        }
        let cli = Cli::try_parse_from(["i2p-socks", "resolve", "--json", "a.i2p"]).unwrap();
        assert_eq!(cli.command(), Command::Resolve { name: "a.i2p".into(), json: true });
    }

    /// Every command line in the documentation parses. The tests of `demo` and `cargo xtask ci` run them.
    #[test]
    fn the_commands_of_the_documentation_are_valid() {
        let documents = [
            include_str!("../../../README.md"),
            include_str!("../README.md"),
            include_str!("../../../docs/configuration.md"),
            include_str!("../../../docs/clients.md"),
            include_str!("../../../docs/http.md"),
            include_str!("../../../docs/filters.md"),
            include_str!("../../../docs/names.md"),
            include_str!("../../../docs/datagrams.md"),
            include_str!("../../../docs/gateway.md"),
            include_str!("../../../docs/exec.md"),
            include_str!("../../../docs/ssh.md"),
            include_str!("../../../docs/outproxies.md"),
            include_str!("../../../docs/service.md"),
            include_str!("../../../docs/operating.md"),
        ];
        let blocks = documents.iter().flat_map(|text| text.split("```sh\n").skip(1));
        let lines = blocks.filter_map(|rest| rest.split("```").next()).flat_map(str::lines);
        let commands: Vec<_> = lines
            .filter_map(|line| {
                let by_path = line.split_once("/i2p-socks ").filter(|(path, _)| !path.contains(' '));
                let by_name = line.strip_prefix("i2p-socks ").or(by_path.map(|(_, command)| command));
                line.strip_prefix("cargo run --release -- ").or(by_name)
            })
            .filter_map(|line| line.split(['#', '>']).next())
            .collect();
        assert!(commands.len() >= 6, "{commands:?}");
        for command in commands {
            // A shell takes the quotes off.
            let words = command.split_whitespace().map(|word| word.trim_matches('\''));
            let words = ["i2p-socks"].into_iter().chain(words);
            Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{command}\n{error}"));
        }
    }
}
