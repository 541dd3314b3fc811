//! What the suite is asked to do.

use std::net::SocketAddr;

use crate::target::Build;

pub(crate) const HELP: &str = "cargo xtask attack [--debug] [NAME...]
cargo xtask attack [--debug] --soak MINUTES

  NAME            attacks to make; default: all
  --debug         attack the program as the tests build it, not as cargo install builds it
  --soak MINUTES  serve clients while others attack, and compare with quiet minutes
";

/// The command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CommandLine {
    pub(crate) build: Build,
    pub(crate) mode: Mode,
}

/// What is done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The attacks with these names; all if there are none.
    Rows(Vec<String>),
    /// Clients are served for this many minutes while others attack.
    Soak(u64),
    /// Sends one datagram to this address: what another user's process does that the suite starts.
    Datagram(SocketAddr),
}

impl CommandLine {
    /// Reads the arguments.
    ///
    /// # Errors
    /// The argument that is wrong.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let (mut build, mut names) = (Build::Release, Vec::new());
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut number = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--debug" => build = Build::Debug,
                "--soak" => {
                    let minutes = number()?.parse().ok().filter(|minutes| *minutes > 0);
                    let mode = Mode::Soak(minutes.ok_or("--soak needs a number of minutes above 0")?);
                    return match arguments.as_slice() {
                        [] => Ok(Self { build, mode }),
                        [debug] if debug == "--debug" => Ok(Self { build: Build::Debug, mode }),
                        [other, ..] => Err(format!("unexpected {other}")),
                    };
                }
                "--datagram" => {
                    let to = number()?.parse().map_err(|_| "--datagram needs an address and a port")?;
                    return Ok(Self { build, mode: Mode::Datagram(to) });
                }
                option if option.starts_with('-') => return Err(format!("there is no option {option}")),
                name => names.push(name.to_owned()),
            }
        }
        Ok(Self { build, mode: Mode::Rows(names) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_options_are_read() {
        let parse =
            |line: &str| CommandLine::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        let rows = |build, names: &[&str]| {
            Ok(CommandLine { build, mode: Mode::Rows(names.iter().map(ToString::to_string).collect()) })
        };
        assert_eq!(parse(""), rows(Build::Release, &[]));
        assert_eq!(parse("a --debug b"), rows(Build::Debug, &["a", "b"]));
        assert_eq!(parse("--soak 20"), Ok(CommandLine { build: Build::Release, mode: Mode::Soak(20) }));
        assert_eq!(parse("--soak 1 --debug"), Ok(CommandLine { build: Build::Debug, mode: Mode::Soak(1) }));
        for wrong in ["--soak", "--soak 0", "--soak x", "--soak 1 2", "--release", "--datagram x"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
