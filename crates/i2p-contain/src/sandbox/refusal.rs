//! Why a sandbox did not start, and what the user can do about it.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};

use super::wall::Wall;

/// A wall that could not be built. The program was not started.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[error("cannot contain the program: {wall}: {cause}{}", advice.as_deref().map(|a| format!(". {a}")).unwrap_or_default())]
pub struct Refusal {
    wall: Wall,
    cause: String,
    advice: Option<String>,
}

impl Refusal {
    /// Makes a refusal from an error of the system, with advice that depends on this machine's settings.
    pub fn new(wall: Wall, doing: &str, error: &io::Error) -> Self {
        let advice = advice(wall, error.kind(), &Settings::read()).map(str::to_owned);
        Self { wall, cause: format!("{doing}: {error}"), advice }
    }

    /// Makes a refusal for another reason than an error of the system.
    pub fn because(wall: Wall, cause: impl Into<String>) -> Self {
        Self { wall, cause: cause.into(), advice: None }
    }

    /// The same, with what to do about it.
    pub(super) fn advising(self, advice: &str) -> Self {
        Self { advice: Some(advice.to_owned()), ..self }
    }

    /// The wall that could not be built.
    pub const fn wall(&self) -> Wall {
        self.wall
    }

    /// What to do about it, if anything is known.
    pub fn advice(&self) -> Option<&str> {
        self.advice.as_deref()
    }
}

/// Turns errors of system calls into refusals.
pub(super) trait OrRefuse<T> {
    /// Names the wall that fails with this error, and what was done.
    fn or_refuse(self, wall: Wall, doing: &str) -> Result<T, Refusal>;
}

impl<T, E: Into<io::Error>> OrRefuse<T> for Result<T, E> {
    fn or_refuse(self, wall: Wall, doing: &str) -> Result<T, Refusal> {
        self.map_err(|error| Refusal::new(wall, doing, &error.into()))
    }
}

/// The settings of this machine that forbid walls.
#[derive(Default)]
struct Settings {
    /// `kernel.unprivileged_userns_clone`: Debian's and Arch's switch.
    unprivileged_userns_clone: Option<String>,
    /// `user.max_user_namespaces`.
    max_user_namespaces: Option<String>,
    /// `kernel.apparmor_restrict_unprivileged_userns`: Ubuntu's switch.
    apparmor_restriction: Option<String>,
    /// Whether this is a container of Docker or Podman.
    in_container: bool,
}

impl Settings {
    fn read() -> Self {
        let read = |name: &str| {
            let text = fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?;
            Some(text.trim().to_owned())
        };
        Self {
            unprivileged_userns_clone: read("kernel/unprivileged_userns_clone"),
            max_user_namespaces: read("user/max_user_namespaces"),
            apparmor_restriction: read("kernel/apparmor_restrict_unprivileged_userns"),
            in_container: ["/.dockerenv", "/run/.containerenv"].iter().any(|file| Path::new(file).exists()),
        }
    }
}

/// What allows to build `wall`, which failed with `kind`.
fn advice(wall: Wall, kind: io::ErrorKind, settings: &Settings) -> Option<&'static str> {
    let is = |setting: &Option<String>, value: &str| setting.as_deref() == Some(value);
    match wall {
        Wall::CoreDumps => Some(
            "The hard limit of core dumps is 0, and 1 is needed: remove `core 0` from /etc/security/limits.conf",
        ),
        Wall::Link if kind == io::ErrorKind::NotFound && settings.in_container => {
            Some("Start the container with `--device /dev/net/tun`")
        }
        Wall::Link if kind == io::ErrorKind::NotFound => {
            Some("Load the kernel module, as root: `modprobe tun`")
        }
        Wall::Link if kind == io::ErrorKind::PermissionDenied => {
            Some("Let users open the device, as udev does, as root: `chmod 666 /dev/net/tun`")
        }
        Wall::Proc if kind == io::ErrorKind::PermissionDenied && settings.in_container => Some(
            "The container masks parts of /proc: start it with `--security-opt systempaths=unconfined` (Docker) or \
             `--security-opt unmask=ALL` (Podman)",
        ),
        _ if kind == io::ErrorKind::StorageFull || is(&settings.max_user_namespaces, "0") => {
            Some("Allow user namespaces, as root: `sysctl user.max_user_namespaces=10000`")
        }
        _ if !matches!(kind, io::ErrorKind::PermissionDenied) => None,
        _ if is(&settings.unprivileged_userns_clone, "0") => {
            Some("Allow user namespaces, as root: `sysctl kernel.unprivileged_userns_clone=1`")
        }
        _ if is(&settings.apparmor_restriction, "1") => Some(
            "AppArmor restricts user namespaces: install the profile that `i2p-socks generate apparmor` prints, which \
             says how, or allow them to all programs, as root: `sysctl kernel.apparmor_restrict_unprivileged_userns=0`",
        ),
        _ if settings.in_container => Some(
            "The container's seccomp profile forbids namespaces: start it with `--security-opt seccomp=unconfined`",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use io::ErrorKind::{NotFound, PermissionDenied, StorageFull, Unsupported};

    use super::*;

    fn set(value: &str) -> Option<String> {
        Some(value.to_owned())
    }

    #[test]
    fn advice_names_the_setting_that_forbids_the_wall() {
        let debian = Settings { unprivileged_userns_clone: set("0"), ..Default::default() };
        let ubuntu = Settings { apparmor_restriction: set("1"), ..Default::default() };
        let none = Settings { max_user_namespaces: set("0"), ..Default::default() };
        let container = Settings { in_container: true, ..Default::default() };
        for (wall, kind, settings, part) in [
            (Wall::Users, PermissionDenied, &debian, "kernel.unprivileged_userns_clone=1"),
            (Wall::Users, PermissionDenied, &ubuntu, "`i2p-socks generate apparmor`"),
            (Wall::Users, PermissionDenied, &ubuntu, "kernel.apparmor_restrict_unprivileged_userns=0"),
            (Wall::Users, StorageFull, &none, "user.max_user_namespaces"),
            (Wall::Users, PermissionDenied, &container, "seccomp=unconfined"),
            (Wall::Link, NotFound, &container, "--device /dev/net/tun"),
            (Wall::Link, NotFound, &debian, "modprobe tun"),
            (Wall::Link, PermissionDenied, &ubuntu, "chmod 666 /dev/net/tun"),
            (Wall::Proc, PermissionDenied, &container, "systempaths=unconfined"),
            (Wall::Proc, PermissionDenied, &ubuntu, "AppArmor"),
            (Wall::CoreDumps, PermissionDenied, &ubuntu, "limits.conf"),
        ] {
            let found = advice(wall, kind, settings).unwrap_or_default();
            assert!(found.contains(part), "{wall}, {kind}: {found:?} instead of {part:?}");
        }
        assert_eq!(advice(Wall::Users, PermissionDenied, &Settings::default()), None);
        assert_eq!(advice(Wall::Ipc, Unsupported, &debian), None);
    }

    #[test]
    fn a_refusal_says_which_wall_why_and_what_to_do() {
        let refusal = Refusal {
            wall: Wall::Users,
            cause: "unshare: no".to_owned(),
            advice: Some("Do this".to_owned()),
        };
        assert_eq!(refusal.to_string(), "cannot contain the program: user namespace: unshare: no. Do this");
    }
}
