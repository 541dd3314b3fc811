//! The environment of a contained program: an allow-list. Other variables name sockets, hosts, users and sessions.

use std::{
    env,
    ffi::{OsStr, OsString},
    path::Path,
};

use super::layout::USER_NAME;

/// Variables that are passed on. Of those that start with `LC_`, the ones that POSIX and glibc know: SSH servers take
/// any from their clients.
const PASSED_ON: [&str; 20] = [
    "COLORTERM",
    "COLUMNS",
    "LANG",
    "LANGUAGE",
    "LC_ADDRESS",
    "LC_ALL",
    "LC_COLLATE",
    "LC_CTYPE",
    "LC_IDENTIFICATION",
    "LC_MEASUREMENT",
    "LC_MESSAGES",
    "LC_MONETARY",
    "LC_NAME",
    "LC_NUMERIC",
    "LC_PAPER",
    "LC_TELEPHONE",
    "LC_TIME",
    "LINES",
    "NO_COLOR",
    "TERM",
];

/// Where programs are looked for if the user's environment does not say it.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Makes the environment: harmless variables of the host, own ones, then those that the user `set`. Of `PATH`, what is
/// below one of the `shown` directories stays: other entries lead nowhere, and tell the user's name.
pub(super) fn environment(
    host: &[(OsString, OsString)],
    set: &[(OsString, OsString)],
    home: &OsStr,
    shown: &[&Path],
) -> Vec<(OsString, OsString)> {
    let mut environment = Vec::new();
    let path = host.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str());
    let path = (OsString::from("PATH"), shown_path(path.unwrap_or_default(), shown));
    let harmless = host.iter().filter(|(name, _)| PASSED_ON.iter().any(|passed| name == passed));
    let own = [
        ("HOME", home),
        ("LOGNAME", OsStr::new(USER_NAME)),
        ("SHELL", OsStr::new("/bin/sh")),
        ("TZ", OsStr::new("UTC")),
        ("USER", OsStr::new(USER_NAME)),
        ("XDG_RUNTIME_DIR", OsStr::new(super::layout::RUNTIME_DIR)),
    ];
    let own = own.map(|(name, value)| (OsString::from(name), value.to_owned()));
    for (name, value) in harmless.chain([&path]).chain(&own).chain(set) {
        environment.retain(|(known, _)| known != name);
        environment.push((name.clone(), value.clone()));
    }
    environment
}

fn shown_path(path: &OsStr, shown: &[&Path]) -> OsString {
    let is_shown = |entry: &std::path::PathBuf| shown.iter().any(|directory| entry.starts_with(directory));
    match env::join_paths(env::split_paths(path).filter(is_shown)) {
        Ok(path) if !path.is_empty() => path,
        _ => DEFAULT_PATH.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        list.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn only_harmless_variables_are_passed_on_and_the_users_own_win() {
        let host = pairs(&[
            ("SSH_CLIENT", "192.0.2.1 1 22"),
            ("DISPLAY", ":0"),
            ("HOME", "/home/alice"),
            ("LD_PRELOAD", "/x"),
            ("LC_ORIGIN", "alice@192.0.2.1"),
            ("LC_TIME", "C"),
            ("PATH", "/home/alice/bin:/usr/local/bin:/bin:/usrlocal"),
            ("TZ", "Europe/Berlin"),
            ("USER", "alice"),
        ]);
        let set = pairs(&[("TZ", "Asia/Tokyo"), ("A", "b")]);
        let shown = [Path::new("/usr"), Path::new("/bin")];
        let made = environment(&host, &set, OsStr::new("/home/user"), &shown);
        let expected = pairs(&[
            ("LC_TIME", "C"),
            ("PATH", "/usr/local/bin:/bin"),
            ("HOME", "/home/user"),
            ("LOGNAME", "user"),
            ("SHELL", "/bin/sh"),
            ("USER", "user"),
            ("XDG_RUNTIME_DIR", "/run/user/1000"),
            ("TZ", "Asia/Tokyo"),
            ("A", "b"),
        ]);
        assert_eq!(made, expected);
    }

    #[test]
    fn there_is_always_a_path() {
        let made = environment(&[], &[], OsStr::new("/"), &[]);
        assert!(made.contains(&("PATH".into(), DEFAULT_PATH.into())));
    }
}
