//! Who we are, to a tunnel that asks.

use std::path::PathBuf;

use clap::Args;
use socks_wire::auth::Credentials;
use zeroize::Zeroizing;

use crate::{config::login, failure::Failure};

/// Where a password is that is in no file. Arguments are seen by all users of a machine, this by its owner alone.
const VARIABLE: &str = "I2P_SOCKS_PASSWORD";

/// A user, as the command line names one.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct UserOptions {
    /// For a tunnel with auth = "required": the user's name. The password is read from a file, or from $I2P_SOCKS_PASSWORD.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// With --user: a file that holds the password and nothing else.
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
}

/// A user with a password.
pub(in crate::commands) struct User {
    name: String,
    password: Zeroizing<String>,
}

impl User {
    /// The one that the command line names; none, if it names none.
    ///
    /// # Errors
    /// The password cannot be had, or SOCKS5 has no room for it.
    pub(in crate::commands) fn of(options: &UserOptions) -> Result<Option<Self>, Failure> {
        let Some(name) = &options.user else { return Ok(None) };
        login::check("name", name).map_err(|what| Failure::usage(format_args!("--user: {what}")))?;
        let password = match (&options.password_file, std::env::var(VARIABLE)) {
            (Some(file), _) => login::password_in(file).map_err(|what| {
                Failure::usage(format_args!("cannot use the password file {}: {what}", file.display()))
            })?,
            (None, Ok(password)) => {
                let password = Zeroizing::new(password);
                login::check("password", &password)
                    .map_err(|what| Failure::usage(format_args!("{VARIABLE}: {what}")))?;
                password
            }
            (None, Err(_)) => {
                return Err(Failure::usage(format_args!(
                    "--user needs a password: say with --password-file FILE which file holds it, or set {VARIABLE}"
                )));
            }
        };
        Ok(Some(Self { name: name.clone(), password }))
    }

    /// As SOCKS5 has it.
    pub(in crate::commands) fn credentials(&self) -> Credentials<'_> {
        Credentials { username: self.name.as_bytes(), password: self.password.as_bytes() }
    }
}
