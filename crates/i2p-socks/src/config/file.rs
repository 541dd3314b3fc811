//! The configuration file, read and not parsed yet. It is read once, because it may be a pipe.

use std::path::PathBuf;

use toml::de::DeTable;

use super::{
    Config,
    findings::Findings,
    log::LogFormat,
    mistakes::{Reading, read},
    options::Options,
    overrides::{Overridden, Override, apply_overrides},
};
use crate::{command_error::CommandError, files};

/// The largest configuration file that is read.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The text of a configuration file; empty if there is no file.
#[derive(Debug, Default)]
pub(crate) struct ConfigFile {
    path: Option<PathBuf>,
    text: String,
}

impl ConfigFile {
    /// Reads the file that the options name.
    pub(crate) fn read(options: &Options) -> Result<Self, CommandError> {
        let path = options.config.clone();
        let text = path.as_deref().map(|path| {
            files::read_text(path, MAX_FILE_BYTES).map_err(|error| {
                CommandError::usage(format_args!(
                    "cannot read the configuration file {}: {error}",
                    path.display()
                ))
            })
        });
        Ok(Self { text: text.transpose()?.unwrap_or_default(), path })
    }

    /// The format that the options and the file ask for, as far as they can be read: mistakes in them are reported in it.
    pub(crate) fn log_format(&self, options: &Options) -> LogFormat {
        let (document, _) = DeTable::parse_recoverable(&self.text);
        let log = document.get_ref().get("log").and_then(|log| log.get_ref().as_table());
        let in_file = log.and_then(|log| log.get("format")).and_then(|format| format.get_ref().as_str());
        let on_command_line = options.overrides.iter().rev().find_map(Override::log_format);
        on_command_line.or_else(|| in_file.and_then(LogFormat::of_word)).unwrap_or_default()
    }

    /// The configuration: defaults, then the file, then environment and command line. Whether the values of a text without mistakes
    /// fit together is not checked.
    ///
    /// # Errors
    /// Everything that is wrong with the file or an option.
    pub(crate) fn parse(&self, options: &Options) -> Result<Config, CommandError> {
        match self.parse_as_far_as_possible(options) {
            (Some(config), findings) if findings.is_empty() => Ok(config),
            _ => self.load(options),
        }
    }

    /// The configuration, whose values fit together.
    ///
    /// # Errors
    /// Everything that is wrong with the file, with an option, or with what they say together.
    pub(crate) fn load(&self, options: &Options) -> Result<Config, CommandError> {
        let (config, mut findings) = self.parse_as_far_as_possible(options);
        if let Some(config) = &config {
            config.contradictions().into_iter().for_each(|problem| findings.add(problem));
        }
        findings.into_result(config)
    }

    /// The configuration without the entries and options that have mistakes, unless these leave nothing to go by, and the mistakes.
    pub(crate) fn parse_as_far_as_possible(&self, options: &Options) -> (Option<Config>, Findings<'_>) {
        // First the file alone, so that mistakes in it are reported with line and column.
        let Reading { rest, keys, mistakes, faulty } = read::<Config>(&self.text);
        let mut findings = Findings::new(self.path.as_deref(), &self.text, mistakes, faulty, keys.clone());
        let Some(rest) = rest else { return (None, findings) };
        let (overrides, ambiguous) = rest.overrides(options);
        ambiguous.into_iter().for_each(|mistake| findings.add_of_options(mistake, None));
        let Overridden { config, keys, set, mistakes } = apply_overrides::<Config>(&keys, &overrides);
        mistakes.into_iter().for_each(|(mistake, faulty)| findings.add_of_options(mistake, faulty));
        findings.set_keys(keys.clone(), set);
        let config = config.map(|config| Config {
            lost_gateway: rest.gateway_lost_in(&config, options),
            state_dir: options.state_dir.clone(),
            file: self.path.clone(),
            settings: keys,
            ..config
        });
        (config, findings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_found_in_spite_of_mistakes() {
        use LogFormat::{Json, Text};
        for (text, overrides, format) in [
            ("", &[][..], Text),
            ("[log]\nformat = 'json'", &[], Json),
            ("[log]\nformat = 'json'\nlevle = 1\n[tunnel]", &[], Json),
            ("[router]\nsam = = 1\n[log]\nformat = 'json'", &[], Json),
            ("log = { format = 'json' }\n[[[", &[], Json),
            ("[log]\nformat = 'jsno'", &[], Text),
            ("log = 1", &[], Text),
            ("", &["log.format=json"], Json),
            ("[log]\nformat = 'json'", &["log.format=text"], Text),
            ("[log]\nformat = 'text'", &["log={ format = 'json' }"], Json),
            ("", &["log.format=text", "log.format=json", "log.format=jsno", "log.level=json"], Json),
        ] {
            let file = ConfigFile { path: None, text: text.to_owned() };
            let overrides = overrides.iter().map(|text| text.parse().unwrap()).collect();
            let options = Options { overrides, ..Options::default() };
            assert_eq!(file.log_format(&options), format, "{text} {:?}", options.overrides);
        }
    }

    /// What is found in a file with mistakes.
    fn found_in(text: &str) -> String {
        let file = ConfigFile { path: None, text: text.to_owned() };
        file.load(&Options::default()).unwrap_err().to_string()
    }

    /// A bad entry hides what depends on which entries there are, and not what another entry is wrong about.
    #[test]
    fn other_entries_of_a_list_with_a_mistake_are_checked() {
        for (listen, says) in [
            ("'127.0.0.1:1', 'x', '127.0.0.1:1'", "127.0.0.1:1 is listed twice"),
            ("'x', '0.0.0.0:1'", "0.0.0.0:1"),
            ("'0.0.0.0:1', '0.0.0.0:1'", "0.0.0.0:1 is listed twice"),
            ("'127.0.0.1:4480', 'x'", "overlaps with 127.0.0.1:4480"),
        ] {
            let said =
                found_in(&format!("[admin]\nlisten = '127.0.0.1:4480'\n[[tunnel]]\nlisten = [{listen}]\n"));
            assert!(said.contains("has 2 errors") && said.contains(says), "{says}:\n{said}");
        }
        let said =
            found_in("[[tunnel]]\nlisten = '127.0.0.1:1'\nprotocols = ['x', 'socks4']\nauth = 'required'\n");
        assert!(said.contains("unknown value `x`") && !said.contains("nobody could connect"), "{said}");
    }

    #[test]
    fn a_tunnel_with_a_bad_name_is_called_by_what_resembles_it() {
        for (name, called) in [("Web Sites", "tunnel web-sites-1: "), ("../", "tunnel number-1: ")] {
            let text = format!("[[tunnel]]\nname = '{name}'\nlisten = '127.0.0.1:1'\nauth = 'required'\n");
            let said = found_in(&text);
            assert!(said.contains(called), "{called}:\n{said}");
        }
    }
}
