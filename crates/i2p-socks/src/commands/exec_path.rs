//! The path of the program in a systemd unit (`generate unit --exec-path`).

use std::str::FromStr;

/// Directories that the unit hides from the service (`ProtectHome=`, `PrivateTmp=`). A program there could not be started.
const HIDDEN: [&str; 5] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];
/// Where to put the program instead.
const ADVICE: &str = "Copy the program to /usr/local/bin first";

/// A path that systemd accepts in `ExecStart=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExecPath(String);

impl FromStr for ExecPath {
    type Err = String;

    /// Refuses what systemd would refuse when it loads the unit or starts the program.
    fn from_str(path: &str) -> Result<Self, String> {
        if !path.starts_with('/') {
            return Err("systemd needs an absolute path, such as /usr/local/bin/i2p-socks".into());
        }
        if path.ends_with('/') {
            return Err("this names a directory; name the program in it".into());
        }
        if path.contains(|letter: char| letter.is_control() || matches!(letter, '"' | '\'' | '\\')) {
            return Err("systemd accepts no quotes, backslashes and control characters here".into());
        }
        if path.split('/').any(|part| matches!(part, "." | "..")) {
            return Err("write the path without . and ..".into());
        }
        let is_below =
            |directory: &&str| path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'));
        if let Some(directory) = HIDDEN.into_iter().find(is_below) {
            return Err(format!("the service cannot see {directory}. {ADVICE}"));
        }
        Ok(Self(path.to_owned()))
    }
}

impl ExecPath {
    /// The path as `ExecStart=` needs it (systemd.service(5), "Command lines"): a percent sign would begin a specifier, and a space
    /// an argument.
    pub(crate) fn escaped(&self) -> String {
        let path = self.0.replace('%', "%%");
        if path.contains(char::is_whitespace) { format!("\"{path}\"") } else { path }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_escaped_for_systemd() {
        for (path, escaped) in [
            ("/usr/local/bin/i2p-socks", "/usr/local/bin/i2p-socks"),
            ("/opt/i2p socks/50%/run", "\"/opt/i2p socks/50%%/run\""),
            ("/opt/$HOME;#/i2p-socks", "/opt/$HOME;#/i2p-socks"),
            ("/homes/i2p-socks", "/homes/i2p-socks"),
        ] {
            assert_eq!(path.parse::<ExecPath>().unwrap().escaped(), escaped);
        }
    }

    #[test]
    fn a_path_that_systemd_cannot_start_is_refused() {
        for (path, reason) in [
            ("i2p-socks", "absolute"),
            ("", "absolute"),
            ("/usr/bin/", "directory"),
            ("/opt/a\"b", "quotes"),
            ("/opt/a\\b", "backslashes"),
            ("/opt/a\nExecStartPre=/bin/b", "control characters"),
            ("/usr/../root/i2p-socks", ".."),
            ("/root/.cargo/bin/i2p-socks", "cannot see /root. Copy the program to /usr/local/bin first"),
            ("/home/anna/i2p-socks", "cannot see /home"),
            ("/tmp/i2p-socks", "cannot see /tmp"),
        ] {
            let error = path.parse::<ExecPath>().unwrap_err();
            assert!(error.contains(reason), "{path}: {error}");
        }
    }
}
