//! The SAM bridge that the configuration names.

use std::{fmt::Display, fs, path::Path};

use i2p_sam::{Bridge, Login, wire::Text};
use zeroize::Zeroizing;

use crate::{config::Config, failure::Failure};

/// What to do about `backend = "embedded"` where it cannot be.
pub(crate) const NO_EMBEDDED_ROUTER: &str = "this build has no embedded router: use --router sam with a router that runs already, \
    or install i2p-socks with its default features";

/// Connections to the router that are kept ready while clients come in a row: a page's worth.
pub(super) const SPARES: usize = 8;

/// The bridge of the configuration.
pub(crate) fn bridge(config: &Config) -> Result<Bridge, Failure> {
    let router = &config.router;
    let mut bridge = Bridge::new(router.sam.as_str()).with_spares(SPARES);
    if let Some(address) = router.sam_udp {
        bridge = bridge.with_udp_address(address);
    }
    match (&router.user, &router.password_file) {
        (Some(user), Some(file)) => Ok(bridge.with_login(login(user, file)?)),
        (None, None) => Ok(bridge),
        _ => Err(Failure::usage("user and password-file of [router] go together: give both, or none")),
    }
}

fn login(user: &str, file: &Path) -> Result<Login, Failure> {
    let mistake = |what: &dyn Display| Failure::usage(format_args!("[router] {what}"));
    let text = |what: &str, value: &str| {
        Text::new(value).map_err(|error| mistake(&format_args!("the {what} cannot be used: {error}")))
    };
    let shown = file.display();
    let password = fs::read_to_string(file)
        .map(Zeroizing::new)
        .map_err(|error| mistake(&format_args!("cannot read the password file {shown}: {error}")))?;
    let password = password.strip_suffix('\n').unwrap_or(&password);
    Ok(Login { user: text("user", user)?, password: text("password", password)? })
}
