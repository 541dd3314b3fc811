//! A router that the proxy runs itself: an installed i2pd, or the embedded router. Both are processes of their own, which are started
//! again when they die.

mod deaths;
#[cfg(all(unix, feature = "embedded"))]
mod embedded;
#[cfg(target_os = "linux")]
mod i2pd;
#[cfg(any(target_os = "linux", all(unix, feature = "embedded")))]
mod private_network;

use std::{
    fs,
    path::{Path, PathBuf},
};

use i2p_sam::BridgeAddress;

#[cfg(any(target_os = "linux", all(unix, feature = "embedded")))]
use self::deaths::Counted;
pub(crate) use self::deaths::Deaths;
#[cfg(not(all(unix, feature = "embedded")))]
use super::bridge::NO_EMBEDDED_ROUTER;
use super::router_user::RouterUser;
use crate::{
    command_error::CommandError,
    config::Config,
    names::service::NameService,
    status::own_router::{OwnRouterKind, OwnRouterSource},
    terminal::progress::Progress,
};

/// Where the embedded router keeps its files, in the state directory.
const EMBEDDED_DIRECTORY: &str = "router";

/// The error for `backend = "i2pd"` where it cannot be started.
#[cfg(not(target_os = "linux"))]
const NOT_LINUX: &str = "i2p-socks starts i2pd on Linux only, because only Linux ends it together with the proxy and tells whose \
                         the bridge at its port is";

/// A running router of our own. Dropping it ends the router.
pub(super) enum OwnRouter {
    /// An installed i2pd.
    #[cfg(target_os = "linux")]
    I2pd(crate::i2pd::I2pd),
    /// The embedded router.
    #[cfg(all(unix, feature = "embedded"))]
    Embedded(i2p_embedded::RouterProcess),
}

/// Returns the i2pd that would be started.
///
/// # Errors
/// Why none would be, as the beginning of a sentence.
pub(crate) fn installed_i2pd(config: &Config) -> Result<PathBuf, String> {
    #[cfg(target_os = "linux")]
    return crate::i2pd::find(config.router.i2pd.as_deref());
    #[cfg(not(target_os = "linux"))]
    {
        let _ = config;
        Err(NOT_LINUX.to_owned())
    }
}

/// The error for `backend = "i2pd"` if none can be started, and why.
pub(crate) fn no_i2pd(fault: &str) -> CommandError {
    CommandError::run_time(format_args!(
        "{fault}. Without a router, nothing in I2P can be reached. Install i2pd, name the program with i2pd under [router], or use \
         another backend"
    ))
}

/// What is wrong with the files that a router of our own is started with: each key under `[router]`, and why that router would not
/// start, as a sentence. `own`: which router would.
pub(crate) fn faults_of_files(config: &Config, own: OwnRouterKind) -> Vec<(&'static str, String)> {
    let router = &config.router;
    let program = router.i2pd.as_ref().filter(|_| own == OwnRouterKind::I2pd);
    let program = program.and_then(|_| installed_i2pd(config).err());
    let program = program.map(|fault| ("i2pd", no_i2pd(&fault).to_string()));
    let needs_reseed_file = own == OwnRouterKind::I2pd || !embedded_has_run_before(config);
    let reseed_file = router.reseed_file.as_deref().filter(|_| needs_reseed_file);
    let reseed_file = reseed_file.and_then(|file| fault_of_reseed_file(file, own));
    program.into_iter().chain(reseed_file.map(|fault| ("reseed-file", fault))).collect()
}

/// Returns whether the embedded router has run with this state directory. Then it may know routers enough.
fn embedded_has_run_before(config: &Config) -> bool {
    config.state_dir().is_ok_and(|state_dir| state_dir.join(EMBEDDED_DIRECTORY).exists())
}

/// Why a router of our own cannot read its first routers from this file. What the file holds, the router finds out.
fn fault_of_reseed_file(file: &Path, own: OwnRouterKind) -> Option<String> {
    let shown = file.display();
    match (fs::metadata(file), own) {
        (Ok(found), OwnRouterKind::I2pd) if !found.is_file() => Some(format!(
            "reseed-file {shown} is not a file. i2pd reads its first routers from an i2pseeds.su3 file and from nothing else: name one, \
             or leave reseed-file out so that it asks reseed servers on the internet"
        )),
        (Ok(_), _) => None,
        (Err(error), _) => Some(format!(
            "reseed-file {shown} cannot be read: {error}. Name an i2pseeds.su3 file, or leave reseed-file out so that reseed servers on \
             the internet are asked"
        )),
    }
}

/// Returns whether an i2pd of this proxy has run with this state directory. Then `auto` starts no other router.
pub(crate) fn i2pd_has_run_before(config: &Config) -> bool {
    #[cfg(target_os = "linux")]
    return i2pd::has_run_before(config);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = config;
        false
    }
}

impl OwnRouter {
    /// Starts an installed i2pd.
    #[cfg(target_os = "linux")]
    pub(super) async fn start_i2pd(
        config: &Config,
        program: &Path,
        progress: &Progress,
    ) -> Result<Self, CommandError> {
        i2pd::start(config, program, progress).await.map(Self::I2pd)
    }

    /// Fails: i2pd is not started on this system.
    #[cfg(not(target_os = "linux"))]
    pub(super) async fn start_i2pd(_: &Config, _: &Path, _: &Progress) -> Result<Self, CommandError> {
        std::future::ready(Err(no_i2pd(NOT_LINUX))).await
    }

    /// Starts the embedded router.
    #[cfg(all(unix, feature = "embedded"))]
    pub(super) async fn start_embedded(
        user: RouterUser,
        config: &Config,
        progress: &Progress,
        names: &NameService,
    ) -> Result<Self, CommandError> {
        embedded::start(user, config, progress, names).await.map(Self::Embedded)
    }

    /// Fails: this build has none.
    #[cfg(not(all(unix, feature = "embedded")))]
    pub(super) async fn start_embedded(
        _: RouterUser,
        _: &Config,
        _: &Progress,
        _: &NameService,
    ) -> Result<Self, CommandError> {
        std::future::ready(Err(CommandError::usage(NO_EMBEDDED_ROUTER))).await
    }

    /// Where its SAM bridge is.
    pub(super) fn address(&self) -> BridgeAddress {
        match *self {
            #[cfg(target_os = "linux")]
            Self::I2pd(ref i2pd) => i2pd.address().clone().into(),
            #[cfg(all(unix, feature = "embedded"))]
            Self::Embedded(ref router) => embedded::address(router),
        }
    }

    /// Where its state is read from.
    pub(super) fn status(&self) -> OwnRouterSource {
        match *self {
            #[cfg(target_os = "linux")]
            Self::I2pd(ref i2pd) => {
                let status = i2pd.status();
                OwnRouterSource::new(move || i2pd::status(*status.borrow()))
            }
            #[cfg(all(unix, feature = "embedded"))]
            Self::Embedded(ref router) => {
                let status = router.status();
                OwnRouterSource::new(move || embedded::status(*status.borrow()))
            }
        }
    }

    /// Its deaths from now on.
    pub(super) fn deaths(&self) -> Deaths {
        match *self {
            #[cfg(target_os = "linux")]
            Self::I2pd(ref i2pd) => Deaths::I2pd(Counted::from_now(i2pd.status(), |status| status.deaths)),
            #[cfg(all(unix, feature = "embedded"))]
            Self::Embedded(ref router) => {
                Deaths::Embedded(Counted::from_now(router.status(), |status| status.deaths))
            }
        }
    }
}
