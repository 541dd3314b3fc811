//! The SAM bridge that the configuration names.

use std::path::Path;

use i2p_sam::{Bridge, Login, wire::Text};

use crate::{
    command_error::CommandError,
    config::{Config, login::password_in},
};

/// The error for `backend = "embedded"` in a build without it.
pub(crate) const NO_EMBEDDED_ROUTER: &str = "this build has no embedded router: use --router sam with a running router, \
    or install i2p-socks with its default features";

/// How many connections to the router are opened in advance while clients arrive in a row: enough for a web page.
pub(super) const SPARE_CONNECTIONS: usize = 8;

/// The SAM bridge of the configuration. Reads the password file.
pub(crate) fn bridge(config: &Config) -> Result<Bridge, CommandError> {
    let router = &config.router;
    let mut bridge = Bridge::new(router.sam.as_str()).with_spares(SPARE_CONNECTIONS);
    if let Some(address) = router.sam_udp {
        bridge = bridge.with_udp_address(address);
    }
    match (&router.user, &router.password_file) {
        (Some(user), Some(file)) => Ok(bridge.with_login(login(user, file)?)),
        (None, None) => Ok(bridge),
        _ => Err(CommandError::usage("user and password-file of [router] go together: set both or neither")),
    }
}

fn login(user: &str, file: &Path) -> Result<Login, CommandError> {
    let mistake = |what: String| CommandError::usage(format_args!("[router] {what}"));
    let text = |what: &str, value: &str| {
        Text::new(value).map_err(|error| mistake(format!("the {what} cannot be used: {error}")))
    };
    let password = password_in(file)
        .map_err(|what| mistake(format!("cannot use the password file {}: {what}", file.display())))?;
    Ok(Login { user: text("user", user)?, password: text("password", &password)? })
}
