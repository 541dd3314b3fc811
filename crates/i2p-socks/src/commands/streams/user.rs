//! The user name and password for a tunnel that requires them.

use std::path::PathBuf;

use clap::Args;
use socks_wire::auth::Credentials;
use zeroize::Zeroizing;

use crate::{command_error::CommandError, config::login};

/// The variable with the password, if it is not in a file. All users of a machine can see arguments, but only the owner of a process
/// its environment.
const VARIABLE: &str = "I2P_SOCKS_PASSWORD";

/// The user on the command line.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct UserOptions {
    /// User name, for a tunnel with auth = "required". The password is in --password-file or in $I2P_SOCKS_PASSWORD.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// File that holds the password of --user and nothing else.
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
}

/// A user with a password.
pub(in crate::commands) struct User {
    name: String,
    password: Zeroizing<String>,
}

impl User {
    /// The user on the command line, if there is one. Reads the password.
    ///
    /// # Errors
    /// The password cannot be read, or SOCKS5 cannot carry it.
    pub(in crate::commands) fn of(options: &UserOptions) -> Result<Option<Self>, CommandError> {
        let Some(name) = &options.user else { return Ok(None) };
        login::check("name", name).map_err(|what| CommandError::usage(format_args!("--user: {what}")))?;
        let password = match (&options.password_file, std::env::var(VARIABLE)) {
            (Some(file), _) => login::password_in(file).map_err(|what| {
                CommandError::usage(format_args!("cannot use the password file {}: {what}", file.display()))
            })?,
            (None, Ok(password)) => {
                let password = Zeroizing::new(password);
                login::check("password", &password)
                    .map_err(|what| CommandError::usage(format_args!("{VARIABLE}: {what}")))?;
                password
            }
            (None, Err(_)) => {
                return Err(CommandError::usage(format_args!(
                    "--user needs a password: name a file that holds it with --password-file FILE, or set {VARIABLE}"
                )));
            }
        };
        Ok(Some(Self { name: name.clone(), password }))
    }

    /// For a SOCKS5 handshake.
    pub(in crate::commands) fn credentials(&self) -> Credentials<'_> {
        Credentials { username: self.name.as_bytes(), password: self.password.as_bytes() }
    }
}
