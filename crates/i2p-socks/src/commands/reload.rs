//! `reload`: makes the running proxy read its configuration again.

use crate::{
    command_error::CommandError,
    config::Config,
    control::client::{ControlClient, ControlError},
    daemon::orders::{RELOAD_PATH, ReloadReply},
    terminal::output::{Format, print},
};

/// Prints what the reload has changed.
pub(crate) async fn run(config: &Config, format: Format) -> Result<(), CommandError> {
    let proxy = ControlClient::of(&config.state_dir()?);
    let reply: ReloadReply = proxy.ask(RELOAD_PATH, &()).await.map_err(|error| match error {
        ControlError::Refused(why) => CommandError::run_time(format_args!(
            "the new configuration was refused, and the old one stays in effect: {why}"
        )),
        error => error_of_proxy(&error),
    })?;
    print(&format.render(&reply, to_text)?)
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
    let mut text = "The new configuration is in effect. Open streams continue.\n".to_owned();
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
    fn the_text_names_the_listeners_that_changed() {
        let (opened, closed) = (vec!["127.0.0.1:1".to_owned()], vec!["unix:/a".to_owned()]);
        let text = to_text(&ReloadReply { kept: 1, opened, closed });
        assert!(text.ends_with("opened 127.0.0.1:1\nclosed unix:/a\n1 listener stays as it was\n"), "{text}");
        let text = to_text(&ReloadReply { kept: 2, opened: Vec::new(), closed: Vec::new() });
        assert!(text.ends_with("continue.\n2 listeners stay as they were\n"), "{text}");
    }
}
