//! One file for each subcommand: its arguments and what it does. `streams` is what `connect` and `listen` share.
//! May import every other room but `cli`; no room imports this one.

use std::{path::Path, time::Duration};

use tokio::time::timeout;

use crate::{
    command_error::CommandError,
    config::Config,
    control::client::{ControlClient, ControlError},
    terminal::output::remark,
};

pub(crate) mod check;
pub(crate) mod connect;
#[cfg(feature = "embedded")]
pub(crate) mod demo;
#[cfg(feature = "embedded")]
mod demo_page;
pub(crate) mod exec;
mod exec_path;
pub(crate) mod explain;
pub(crate) mod generate;
pub(crate) mod keys;
pub(crate) mod listen;
pub(crate) mod names;
pub(crate) mod names_print;
pub(crate) mod new_identity;
mod nftables;
pub(crate) mod passwd;
pub(crate) mod reload;
pub(crate) mod resolve;
pub(crate) mod status;
mod streams;

/// The running proxy with the state directory of this command, or the demo, which is said.
async fn proxy_or_demo(config: &Config) -> Result<ControlClient, CommandError> {
    let asked = ControlClient::of_proxy_or_demo(&config.state_dir()?).await;
    if asked.is_of_demo() {
        remark_demo_answers();
    }
    Ok(asked)
}

/// What a person who wrote a URL or HOST:PORT in place of a host is to write, as a sentence after that of the error; otherwise nothing.
/// `port`: where the port belongs.
fn host_advice(text: &str, port: &str) -> String {
    if text.contains('/') {
        let further = if text.contains("://") { "http:// or the like, and the path" } else { "the path" };
        return format!(". Give a host name, not a URL: leave out {further}");
    }
    match text.rsplit_once(':') {
        Some((host, number)) if !host.contains(':') && number.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!(". Leave out the colon and the port: {port}")
        }
        _ => String::new(),
    }
}

/// For [`host_advice`].
const PORT_IS_AN_ARGUMENT: &str = "the port is a second argument";
const NO_PORT_HERE: &str = "this command needs no port";

fn remark_demo_answers() {
    remark("the demo answers, since no proxy is running with this state directory");
}

/// Prints a remark if the demo is running and no proxy: this command does not ask the demo. `what` names what it reads instead.
async fn remark_demo_not_asked(state_dir: &Path, what: &str) {
    if ControlClient::of_proxy_or_demo(state_dir).await.is_of_demo() {
        remark(&format!(
            "the demo is running, but is not asked: this command uses {what} in {}",
            state_dir.display()
        ));
    }
}

/// How long a command that goes by its own configuration waits for the running proxy.
const COMPARISON_TIMEOUT: Duration = Duration::from_secs(2);

/// Prints a remark if the running proxy would give another answer. The command uses its own configuration, which the proxy may not
/// have yet. `same` asks the proxy whether it has the same; `what` names the difference.
async fn remark_other_configuration<Work>(
    config: &Config,
    what: &str,
    same: impl FnOnce(ControlClient) -> Work,
) where
    Work: Future<Output = Result<bool, ControlError>>,
{
    let Ok(state_dir) = config.state_dir() else { return };
    if ControlClient::of_proxy_or_demo(&state_dir).await.is_of_demo() {
        return remark(
            "the demo is running, but is not asked. The answer is what the configuration of this command says",
        );
    }
    match timeout(COMPARISON_TIMEOUT, same(ControlClient::of(&state_dir))).await {
        Ok(Ok(true) | Err(ControlError::NotRunning(_) | ControlError::NotADirectory(_))) => {}
        Ok(Ok(false)) => remark(&format!(
            "the running proxy has {what}. The answer is what the configuration of this command says"
        )),
        Ok(Err(why)) => remark_own_configuration(&why),
        // It answers once it has found a router.
        Err(_) => remark(&format!(
            "the running proxy does not say whether it has {what}. The answer is what the configuration of this command says"
        )),
    }
}

/// Says that an answer comes from the configuration of this command, since no proxy has given one. A proxy may run with another one.
fn remark_own_configuration(why: &ControlError) {
    remark(&format!("{why}. The answer is what the configuration of this command says"));
}
