use std::{ffi::OsString, time::Duration};

use clap::{Arg, CommandFactory, FromArgMatches, Parser, Subcommand, builder::Resettable};

use crate::{
    commands::{
        connect::ConnectCommand, generate::GenerateCommand, keys::KeysCommand, listen::ListenCommand,
        names::NamesCommand, status::AdminUrl,
    },
    config::{options::Options, values::port},
};

/// A SOCKS proxy into the I2P anonymous network.
///
/// Programs that speak SOCKS4, 4a or 5 reach .i2p through it: by the SAM bridge of an I2P router (i2pd, Java I2P,
/// emissary), or, where there is none, by a router of its own. Without a command it does what `run` does.
#[derive(Debug, Parser)]
#[command(name = "i2p-socks", version, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    pub(crate) options: Options,
}

const AFTER_HELP: &str = "\
Exit codes: 0 ended as told, 1 failed while running, 64 wrong usage or configuration.

Examples: i2p-socks demo, to see it work; or i2p-socks run with a router that has an address
book (i2pd, Java I2P), and in another shell
  curl --socks5-hostname 127.0.0.1:4450 http://i2p-projekt.i2p/";

impl Cli {
    /// From this process's command line and environment. A variable that is set to nothing counts as not set: files that
    /// set variables for containers and services often have such lines.
    pub(crate) fn try_parse_process() -> Result<Self, clap::Error> {
        let mut command = <Self as CommandFactory>::command();
        let empty =
            |arg: &Arg| arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        let ids: Vec<_> =
            command.get_arguments().filter(|arg| empty(arg)).map(|arg| arg.get_id().clone()).collect();
        for id in ids {
            command = command.mut_arg(id, |arg| arg.env(Resettable::Reset));
        }
        let words = gathered(&command, std::env::args_os());
        Self::from_arg_matches(&command.try_get_matches_from(words)?)
    }

    pub(crate) fn definition() -> clap::Command {
        <Self as CommandFactory>::command()
    }

    pub(crate) fn command(&self) -> Command {
        self.command.clone().unwrap_or(Command::Run)
    }
}

/// Shorter than any destination in base64, which may begin as an option does.
const LONGEST_OPTION: usize = 500;

/// A command line whose options for all commands stand before the command. Of one that stands before it and behind it the parser
/// forgets what stood before: values would be lost, and contradictions too.
fn gathered(command: &clap::Command, words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let options: Vec<_> = command.get_arguments().filter(|arg| arg.is_global_set()).collect();
    let mut words = words.into_iter();
    let mut first: Vec<_> = words.next().into_iter().collect();
    let mut rest = Vec::new();
    while let Some(word) = words.next() {
        match word.to_str().and_then(|word| global(&options, word)) {
            Some(Value::Within) => first.push(word),
            Some(Value::Next) => match words.next() {
                Some(value) => first.extend([word, value]),
                // Where it stands, it is said that the value is missing.
                None => rest.push(word),
            },
            None if word == "--" => {
                rest.push(word);
                rest.extend(words.by_ref());
            }
            None => rest.push(word),
        }
    }
    first.append(&mut rest);
    first
}

/// Where the value of an option is.
enum Value {
    /// In the same word, unless it has none.
    Within,
    /// In the next word.
    Next,
}

/// Whether a word is an option for all commands, or several of them that have one letter each.
fn global(options: &[&Arg], word: &str) -> Option<Value> {
    let takes_value = |option: &Arg| option.get_action().takes_values();
    if let Some(long) = word.strip_prefix("--") {
        let name = long.split_once('=').map_or(long, |(name, _)| name);
        let option = options.iter().find(|option| option.get_long() == Some(name))?;
        return Some(if takes_value(option) && name == long { Value::Next } else { Value::Within });
    }
    let letters = word.strip_prefix('-').filter(|_| word.len() < LONGEST_OPTION)?;
    for (at, letter) in letters.char_indices() {
        let option = options.iter().find(|option| option.get_short() == Some(letter))?;
        if takes_value(option) {
            return Some(if at + letter.len_utf8() == letters.len() { Value::Next } else { Value::Within });
        }
    }
    (!letters.is_empty()).then_some(Value::Within)
}

#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub(crate) enum Command {
    /// Serve SOCKS clients until interrupted.
    Run,
    /// Try it without internet and without a router: a private I2P network in this process, with a page on it.
    ///
    /// Prints the curl lines to try, and runs until interrupted. Uses --listen; --router, --sam and --state-dir have
    /// no meaning here.
    Demo,
    /// Say what a name is, where it is looked up, and what is found there.
    ///
    /// Asks the places that the proxy asks, in their order, and prints what each says. Exit code 1 when the name leads
    /// nowhere.
    Resolve {
        /// A host name, a .b32.i2p address or a destination in base64.
        // One destination of 64 begins with a hyphen.
        #[arg(value_name = "NAME", allow_hyphen_values = true)]
        name: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say which way a request would go, and which route of the configuration says so.
    ///
    /// Asks nobody: what is not of I2P is refused, or sent to the outproxies of the first rule that matches.
    Explain {
        /// What a client would ask for: a host name or an address.
        #[arg(value_name = "HOST")]
        host: String,
        /// The port that it would ask for.
        #[arg(value_name = "PORT", value_parser = port)]
        port: u16,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say whether the configuration is right, and everything that is wrong with it. Binds nothing.
    ///
    /// Exit code 64 where something is wrong with it, 1 where --live finds no router.
    Check {
        /// Ask the router too, and say what it can do.
        #[arg(long)]
        live: bool,
    },
    /// The identities that are kept for tunnels whose `key` is "persistent": their addresses, and new ones.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Print what is installed beside the program: manual pages, completions, a configuration, a unit for systemd.
    #[command(subcommand)]
    Generate(GenerateCommand),
    /// Say how the proxy that runs does: its tunnels, its sessions in I2P with their addresses, what failed.
    ///
    /// Asks the one that runs with the same state directory. Exit code 0 when clients are served, else 1.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Wait until clients are served.
        #[arg(long)]
        wait: bool,
        /// How long to wait at most.
        #[arg(long, value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
        limit: Duration,
        /// Ask this admin endpoint (http://IP:PORT/), not the control socket.
        #[arg(long, value_name = "URL")]
        admin: Option<AdminUrl>,
    },
    /// Open a stream to a host in I2P, with stdin and stdout as its other end: for ssh, as its ProxyCommand.
    ///
    /// Goes through the proxy that runs with the same state directory; where none runs, through a session of its own, which
    /// takes a minute. Ends when the far end has finished. Exit code 1 where it cannot be reached.
    Connect(ConnectCommand),
    /// Wait for streams that others in I2P open to us, and print the address that they need.
    ///
    /// Takes one stream, with stdin and stdout as its other end; the address goes to stderr then. With --forward, takes streams
    /// until interrupted; the address goes to stdout. The proxy's tunnel needs incoming = true; where no proxy runs, it has a
    /// session of its own. The address is another one each time, unless the tunnel's key is persistent.
    Listen(ListenCommand),
    /// Make an entry for a users file (auth = "required").
    ///
    /// Asks for the password, or reads it from stdin where that is no terminal, and prints a line to be added to the file.
    Passwd {
        /// The user's name; not given, the first line of stdin.
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
    /// The address book: list, add, remove, import, subscribe.
    ///
    /// It is a file in the state directory. Where a proxy runs with that directory, it is the proxy that is spoken to.
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
    use clap::error::ErrorKind;

    use super::*;
    use crate::config::verbosity::Verbosity;

    #[test]
    fn the_definition_is_sound() {
        <Cli as CommandFactory>::command().debug_assert();
    }

    #[test]
    fn options_stand_before_and_after_the_command_and_without_one() {
        for line in ["i2p-socks run --sam h:1", "i2p-socks --sam h:1 run", "i2p-socks --sam h:1"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(cli.command(), Command::Run);
            assert_eq!(cli.options.sam.unwrap().as_str(), "h:1");
        }
    }

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        let words = line.split(' ').map(OsString::from);
        Cli::try_parse_from(gathered(&<Cli as CommandFactory>::command(), words))
    }

    #[test]
    fn options_count_before_the_command_and_behind_it_together() {
        let cli = parse("i2p-socks -o limits.dial=1s names -o limits.bind=2s list -olimits.idle=3s").unwrap();
        assert!(matches!(cli.command(), Command::Names { .. }));
        let expected =
            ["limits.dial=1s", "limits.bind=2s", "limits.idle=3s"].map(|text| text.parse().unwrap());
        assert_eq!(cli.options.given, expected);
        let cli = parse("i2p-socks --listen 127.0.0.1:1,127.0.0.1:2 run --listen=127.0.0.1:3").unwrap();
        let expected = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"].map(|text| text.parse().unwrap());
        assert_eq!(cli.options.listen, expected);
        for line in ["i2p-socks -v run -v", "i2p-socks run -vv", "i2p-socks -v run --verbose"] {
            assert_eq!(parse(line).unwrap().options.verbosity(), Verbosity::Trace, "{line}");
        }
        let cli = parse("i2p-socks run -vo limits.dial=1s").unwrap();
        assert_eq!((cli.options.verbose, cli.options.given.len()), (1, 1));
        // A value that looks like an option is none.
        assert_eq!(parse("i2p-socks run --state-dir=-v -v").unwrap().options.verbose, 1);
    }

    #[test]
    fn what_would_be_a_mistake_on_one_side_of_the_command_is_one_on_both() {
        for (line, kind) in [
            ("i2p-socks --sam h:1 run --sam h:2", ErrorKind::ArgumentConflict),
            ("i2p-socks -v run -q", ErrorKind::ArgumentConflict),
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
    fn a_destination_that_begins_with_a_hyphen_is_no_option() {
        for second in "8vqohA-~".chars() {
            let destination = format!("-{second}{}AAAA", "abAB01-~".repeat(64));
            for line in [
                vec!["resolve", &destination, "--json"],
                vec!["resolve", "-v", &destination],
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

    /// Every command that the documentation shows is one: they are parsed here; the tests of `demo` and `cargo xtask ci`
    /// run them.
    #[test]
    fn the_commands_of_the_documentation_are_valid() {
        let documents = [
            include_str!("../../../README.md"),
            include_str!("../README.md"),
            include_str!("../../../docs/configuration.md"),
            include_str!("../../../docs/clients.md"),
            include_str!("../../../docs/names.md"),
            include_str!("../../../docs/datagrams.md"),
            include_str!("../../../docs/ssh.md"),
            include_str!("../../../docs/outproxies.md"),
            include_str!("../../../docs/service.md"),
        ];
        let blocks = documents.iter().flat_map(|text| text.split("```sh\n").skip(1));
        let lines = blocks.filter_map(|rest| rest.split("```").next()).flat_map(str::lines);
        let commands: Vec<_> = lines
            .filter_map(|line| {
                line.strip_prefix("cargo run --release -- ").or(line.strip_prefix("i2p-socks "))
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
