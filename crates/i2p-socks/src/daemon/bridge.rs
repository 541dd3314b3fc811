//! The SAM bridge that the configuration names.

use std::path::Path;

use i2p_sam::{Bridge, BridgeAddress, Fingerprint, Login, Trust, wire::Text};

use crate::{
    command_error::CommandError,
    config::{Config, RouterConfig, login::password_in, values::SamCertificate},
    files,
};

/// The error for `backend = "embedded"` in a build without it.
pub(crate) const NO_EMBEDDED_ROUTER: &str = "this build has no embedded router: use --router sam with a running router, \
    use --router i2pd with an installed one, or install i2p-socks with its default features";

/// How many connections to the router are opened in advance while clients arrive in a row: enough for a web page.
pub(super) const SPARE_CONNECTIONS: usize = 8;

/// The largest file of certificates that is read.
const MAX_CERTIFICATE_FILE_BYTES: u64 = 256 * 1024;

/// The SAM bridge of the configuration. Reads the files of the password and of the certificate.
pub(crate) fn bridge(config: &Config) -> Result<Bridge, CommandError> {
    let router = &config.router;
    let mut bridge = Bridge::new(address(router)?).with_spares(SPARE_CONNECTIONS);
    if let Some(address) = router.sam_udp {
        bridge = bridge.with_udp_address(address);
    }
    Ok(match login(router)? {
        Some(login) => bridge.with_login(login),
        None => bridge,
    })
}

/// The address of the bridge, with the certificate that it must have.
pub(super) fn address(router: &RouterConfig) -> Result<BridgeAddress, CommandError> {
    let address = router.sam.0.clone();
    let (BridgeAddress::Tls(tls), Some(certificate)) = (&address, &router.sam_certificate) else {
        return Ok(address);
    };
    let pinned = match certificate {
        SamCertificate::Fingerprint(fingerprint) => vec![*fingerprint],
        SamCertificate::File(file) => fingerprints(file).map_err(|why| {
            CommandError::usage(format_args!(
                "[router] cannot use the certificate file {}: {why}",
                file.display()
            ))
        })?,
    };
    Ok(tls.clone().with_trust(Trust::Pinned(pinned)).into())
}

fn fingerprints(file: &Path) -> Result<Vec<Fingerprint>, String> {
    let contents = files::read(file, MAX_CERTIFICATE_FILE_BYTES).map_err(|error| error.to_string())?;
    Fingerprint::all_in(files::without_mark(&contents)).map_err(|error| error.to_string())
}

/// The login for the bridge, if it has one.
pub(super) fn login(router: &RouterConfig) -> Result<Option<Login>, CommandError> {
    let (user, file) = match (&router.user, &router.password_file) {
        (Some(user), Some(file)) => (user, file),
        (None, None) => return Ok(None),
        _ => {
            return Err(CommandError::usage(
                "user and password-file of [router] go together: set both or neither",
            ));
        }
    };
    let mistake = |what: String| CommandError::usage(format_args!("[router] {what}"));
    let text = |what: &str, value: &str| {
        Text::new(value).map_err(|error| mistake(format!("the {what} cannot be used: {error}")))
    };
    let password = password_in(file)
        .map_err(|what| mistake(format!("cannot use the password file {}: {what}", file.display())))?;
    Ok(Some(Login { user: text("user", user)?, password: text("password", &password)? }))
}
