//! Parses the command line and the environment of this process.

use std::ffi::OsString;

use clap::{
    Arg, ArgMatches, FromArgMatches,
    error::{ContextKind, ContextValue, ErrorKind},
    parser::ValueSource,
};

use super::{Cli, Command};
use crate::config::options::Options;

/// A command line that cannot be parsed.
pub(crate) struct UsageError {
    /// The mistake, or the text of `--help` or `--version`.
    pub(crate) error: clap::Error,
    /// Those of its options that say where and how mistakes are reported, as far as they can be read: `--config` and `-o`.
    pub(crate) options: Box<Options>,
}

impl Cli {
    /// Parses the command line and the environment of this process. An empty variable counts as not set: environment files of
    /// containers and services often have such lines.
    pub(crate) fn try_parse_process() -> Result<Self, UsageError> {
        let is_empty =
            |arg: &Arg| arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        let words: Vec<_> = std::env::args_os().collect();
        let definition = Self::definition_without_variables(is_empty);
        parse(definition.clone(), words.clone()).map_err(|mut error| {
            name_variable(&mut error, &definition);
            let of_config =
                Self::definition_without_variables(|arg| is_empty(arg) || arg.get_id() != "config");
            UsageError { error, options: Box::new(readable_options(&of_config, words)) }
        })
    }
}

/// Says where the program of `exec` has to be, if it is where an option is expected. Its own options could be those of `exec`.
fn with_advice_for_program(mut error: clap::Error) -> clap::Error {
    if error.kind() == ErrorKind::UnknownArgument
        && let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg)
        && !word.starts_with('-')
    {
        let tip = format!("put -- before the program: i2p-socks exec -- {word}");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

/// Names the variable of the environment in an error about its value, in place of the option that it stands for.
fn name_variable(error: &mut clap::Error, definition: &clap::Command) {
    let text_of = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    // The option is shown as --listen <ADDR>. Some take a list.
    let long = text_of(ContextKind::InvalidArg).and_then(|shown| shown.strip_prefix("--")?.split(' ').next());
    let (Some(long), Some(wrong)) = (long, text_of(ContextKind::InvalidValue)) else { return };
    let option = definition.get_arguments().find(|arg| arg.get_long() == Some(long));
    let Some(variable) = option.and_then(|option| option.get_env()?.to_str()) else { return };
    let is_of_variable =
        std::env::var(variable).is_ok_and(|value| value == wrong || value.split(',').any(|one| one == wrong));
    if is_of_variable {
        error.insert(ContextKind::InvalidArg, ContextValue::String(variable.to_owned()));
    }
}

fn parse(mut definition: clap::Command, words: Vec<OsString>) -> Result<Cli, clap::Error> {
    let command = CommandLine::of(&definition, words.clone()).rest.into_iter().next();
    let words = global_options_first(&definition, words);
    let matches = definition.try_get_matches_from_mut(words).map_err(|error| match command {
        Some(command) if command == "exec" => with_advice_for_program(error),
        _ => error,
    })?;
    let cli = Cli::from_arg_matches(&matches)?;
    if cli.options.quiet && cli.options.verbose > 0 {
        let both = "-q and -v cannot be used together: one logs less, the other more";
        // The usage of clap's own error would be that of one of them.
        return Err(definition.error(ErrorKind::ArgumentConflict, both));
    }
    match refused_settings(&cli, &matches) {
        Some(option) => Err(definition.error(
            ErrorKind::ArgumentConflict,
            format_args!(
                "{option} has no effect on a running proxy, which reads its own configuration again: change that file, or start the \
                 proxy again with other options"
            ),
        )),
        None => Ok(cli),
    }
}

/// The option of `reload` that looks as if the running proxy would follow it. Variables of the environment may be meant for other
/// commands.
fn refused_settings(cli: &Cli, matches: &ArgMatches) -> Option<&'static str> {
    if !matches!(cli.command(), Command::Reload { .. }) {
        return None;
    }
    let settings = [
        ("listen", "--listen"),
        ("open_to_others", "--open-to-others"),
        ("router", "--router"),
        ("sam", "--sam"),
    ];
    let is_given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let given = settings.into_iter().find(|(id, _)| is_given(id)).map(|(_, option)| option);
    // This command has a log, too.
    given.or_else(|| cli.options.overrides.iter().any(|one| !one.is_of("log")).then_some("-o"))
}

/// `--config` and `-o` of a command line with mistakes. Each option is parsed alone, so that no other one is in its way.
fn readable_options(definition: &clap::Command, words: Vec<OsString>) -> Options {
    let parsed = |words: Vec<OsString>| {
        let matches = definition.clone().try_get_matches_from(words).ok()?;
        Cli::from_arg_matches(&matches).ok().map(|cli| cli.options)
    };
    let CommandLine { program, options, .. } = CommandLine::of(definition, words);
    let alone = |option: Vec<OsString>| program.iter().cloned().chain(option).collect();
    let mut readable = parsed(alone(Vec::new())).unwrap_or_default();
    let of_environment = readable.config.clone();
    for one in options.into_iter().filter_map(|option| parsed(alone(option))) {
        readable.overrides.extend(one.overrides);
        if one.config != of_environment {
            readable.config = one.config;
        }
    }
    readable
}

/// A word of this length or longer is never a group of short options. Destinations in base64 are longer, and one of 64 begins
/// with a hyphen.
const MAX_SHORT_OPTIONS_BYTES: usize = 500;

/// The words of a command line with the global options moved before the subcommand. clap forgets the values before the subcommand
/// if the same option is repeated after it: values would be lost, and conflicts would go unnoticed.
pub(super) fn global_options_first(
    command: &clap::Command,
    words: impl IntoIterator<Item = OsString>,
) -> Vec<OsString> {
    let CommandLine { program, options, rest } = CommandLine::of(command, words);
    program.into_iter().chain(options.into_iter().flatten()).chain(rest).collect()
}

/// The words of a command line, sorted.
struct CommandLine {
    program: Option<OsString>,
    /// The global options, each with its value.
    options: Vec<Vec<OsString>>,
    rest: Vec<OsString>,
}

impl CommandLine {
    fn of(command: &clap::Command, words: impl IntoIterator<Item = OsString>) -> Self {
        let known: Vec<_> = command.get_arguments().filter(|arg| arg.is_global_set()).collect();
        let mut words = words.into_iter();
        let program = words.next();
        let (mut options, mut rest) = (Vec::new(), Vec::new());
        while let Some(word) = words.next() {
            match word.to_str().and_then(|word| global_option(&known, word)) {
                Some(OptionValue::SameWord) => options.push(vec![word]),
                Some(OptionValue::NextWord) => match words.next() {
                    Some(value) => options.push(vec![word, value]),
                    // clap reports the missing value.
                    None => rest.push(word),
                },
                None if word == "--" => {
                    rest.push(word);
                    rest.extend(words.by_ref());
                }
                None => rest.push(word),
            }
        }
        Self { program, options, rest }
    }
}

/// Where the value of a global option is.
enum OptionValue {
    /// In the same word, or the option takes no value.
    SameWord,
    /// In the next word.
    NextWord,
}

/// Where the value is, if `word` is a global option or a group of global short options.
fn global_option(options: &[&Arg], word: &str) -> Option<OptionValue> {
    let takes_value = |option: &Arg| option.get_action().takes_values();
    if let Some(long) = word.strip_prefix("--") {
        let name = long.split_once('=').map_or(long, |(name, _)| name);
        let option = options.iter().find(|option| option.get_long() == Some(name))?;
        return Some(if takes_value(option) && name == long {
            OptionValue::NextWord
        } else {
            OptionValue::SameWord
        });
    }
    let letters = word.strip_prefix('-').filter(|_| word.len() < MAX_SHORT_OPTIONS_BYTES)?;
    for (at, letter) in letters.char_indices() {
        let option = options.iter().find(|option| option.get_short() == Some(letter))?;
        if takes_value(option) {
            return Some(if at + letter.len_utf8() == letters.len() {
                OptionValue::NextWord
            } else {
                OptionValue::SameWord
            });
        }
    }
    (!letters.is_empty()).then_some(OptionValue::SameWord)
}
