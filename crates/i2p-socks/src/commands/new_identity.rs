//! `new-identity`: gives clients of the running proxy new identities.

use super::{proxy_or_demo, reload::error_of_proxy};
use crate::{
    command_error::CommandError,
    config::Config,
    daemon::orders::{NEW_IDENTITY_PATH, NewIdentityReply},
    terminal::output::{Format, print},
};

/// Prints how many identities were replaced: those of clients that send this username, or all.
pub(crate) async fn run(config: &Config, user: Option<&str>, format: Format) -> Result<(), CommandError> {
    let proxy = proxy_or_demo(config).await?;
    let reply = proxy.ask(NEW_IDENTITY_PATH, &user).await;
    let reply: NewIdentityReply = reply.map_err(|error| error_of_proxy(&error))?;
    if reply.renewed == 0 && user.is_some() {
        return Err(CommandError::run_time(
            "no identity has changed: no I2P session is open for clients that send this username. Sessions differ by it only if \
             isolate contains socks-auth",
        ));
    }
    print(&format.render(&reply, to_text)?)
}

fn to_text(reply: &NewIdentityReply) -> String {
    match reply.renewed {
        0 => {
            "There was nothing to change: no identity that can change is in use. A client gets a new one with its next request, except \
             from a tunnel with key = \"persistent\".\n"
                .to_owned()
        }
        1 => "1 identity is replaced for new requests. Open streams keep the old one.\n".to_owned(),
        renewed => {
            format!("{renewed} identities are replaced for new requests. Open streams keep the old ones.\n")
        }
    }
}
