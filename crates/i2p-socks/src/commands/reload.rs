//! `reload`: makes the running proxy read its configuration again.

use std::{fs, path::Path};

use serde::Serialize;

use super::proxy_or_demo;
use crate::{
    command_error::CommandError,
    config::Config,
    control::client::ControlError,
    daemon::orders::{RELOAD_PATH, ReloadReply},
    terminal::output::{Format, print, remark},
};

/// The answer of the demo.
pub(super) const DEMO_RELOADS_NOTHING: &str =
    "the demo reads its configuration only once: end it, and start it again";

/// Prints what the reload has changed. `expected`: the file that this command was given, which the proxy need not have read.
pub(crate) async fn run(
    config: &Config,
    expected: Option<&Path>,
    format: Format,
) -> Result<(), CommandError> {
    let proxy = proxy_or_demo(config).await?;
    let reloaded = match proxy.is_of_demo() {
        // A demo that starts answers only later.
        true => Err(ControlError::Refused(DEMO_RELOADS_NOTHING.to_owned())),
        false => proxy.ask(RELOAD_PATH, &()).await,
    };
    let reply: ReloadReply = match reloaded {
        Ok(reply) => reply,
        Err(ControlError::Refused(why)) => {
            if format == Format::Json {
                print(&format.render(&Refusal { refused: &why }, |_| String::new())?)?;
            }
            return Err(CommandError::run_time(format_args!(
                "the new configuration was refused, and the old one stays in effect: {why}"
            )));
        }
        Err(error) => return Err(error_of_proxy(&error)),
    };
    if let Some(expected) = expected {
        remark_other_file(expected, reply.file.as_deref());
    }
    print(&format.render(&reply, to_text)?)
}

/// A configuration that the proxy has refused, for programs.
#[derive(Serialize)]
struct Refusal<'a> {
    /// Why.
    refused: &'a str,
}

/// Says that the proxy has read another file than the one that this command was given.
fn remark_other_file(expected: &Path, read: Option<&Path>) {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match read {
        Some(read) if real(read) == real(expected) => {}
        Some(read) => remark(&format!(
            "the proxy has read {}, the file that it was started with, and not {}",
            read.display(),
            expected.display()
        )),
        None => remark(&format!(
            "the proxy was started without a configuration file, and has not read {}",
            expected.display()
        )),
    }
}

/// The error if no running proxy answers.
pub(super) fn error_of_proxy(error: &ControlError) -> CommandError {
    match error {
        ControlError::NotRunning(_) => CommandError::run_time(format_args!(
            "{error}. Start it, or name the state directory of another one with --state-dir"
        )),
        error => CommandError::run_time(error),
    }
}

fn to_text(reply: &ReloadReply) -> String {
    let from = reply.file.as_ref().map_or_else(String::new, |file| format!(", from {}", file.display()));
    let mut text = format!("The new configuration is in effect{from}. Open streams continue.\n");
    text += &match reply.changed.as_slice() {
        [] => "no setting has changed; the files that settings name, such as users-file, were read again\n"
            .to_owned(),
        changed => format!("changed: {}\n", changed.join(", ")),
    };
    for address in &reply.opened {
        text += &format!("opened {address}\n");
    }
    for address in &reply.closed {
        text += &format!("closed {address}\n");
    }
    text += &match reply.kept {
        1 => "1 listener stays as it was\n".to_owned(),
        kept => format!("{kept} listeners stay as they were\n"),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_the_settings_and_listeners_that_changed() {
        let (opened, closed) = (vec!["127.0.0.1:1".to_owned()], vec!["unix:/a".to_owned()]);
        let changed = vec!["limits.dial".to_owned(), "tunnel.a.udp".to_owned()];
        let text = to_text(&ReloadReply { file: None, changed, kept: 1, opened, closed });
        assert!(text.contains("\nchanged: limits.dial, tunnel.a.udp\n"), "{text}");
        assert!(text.ends_with("opened 127.0.0.1:1\nclosed unix:/a\n1 listener stays as it was\n"), "{text}");
        let text = to_text(&ReloadReply {
            file: Some("/a.toml".into()),
            changed: Vec::new(),
            kept: 2,
            opened: Vec::new(),
            closed: Vec::new(),
        });
        assert!(text.contains("continue.\nno setting has changed; the files"), "{text}");
        assert!(text.ends_with("read again\n2 listeners stay as they were\n"), "{text}");
    }
}
