//! What a configuration allows although hardly anybody wants it. `check`, the log and the status say it.

use std::path::Path;

use i2p_tunnel::ListenAt;

use super::{
    Config, PUBLIC_NETWORK,
    options::Options,
    overrides::{LISTEN_VARIABLE, origin},
    tunnel::{TunnelConfig, is_of_gateway},
};

impl Config {
    /// Every risk, as a sentence.
    pub(crate) fn risks(&self) -> Vec<String> {
        let lost_gateway = self.lost_gateway.iter().cloned();
        self.lack_of_hops().into_iter().chain(self.open_files()).chain(lost_gateway).collect()
    }

    /// `self` is the configuration of the file, `overridden` the same with the options. Returns the warning if `--listen` has replaced
    /// listeners of a gateway.
    pub(super) fn gateway_lost_in(&self, overridden: &Self, options: &Options) -> Option<String> {
        let addresses = |config: &Self| config.tunnels().iter().flat_map(TunnelConfig::addresses).collect();
        let (written, kept): (Vec<ListenAt>, Vec<_>) = (addresses(self), addresses(overridden));
        let lost = written.iter().filter(|at| is_of_gateway(at) && !kept.contains(at));
        let lost: Vec<_> = lost.map(ToString::to_string).collect();
        (!options.listen.is_empty() && !lost.is_empty()).then(|| {
            format!(
                "{} replaces all listeners of the configuration file, including {}. Connections that a firewall sends there are not \
                 served. Leave it out, and set listen in the file",
                origin("--listen", Some(LISTEN_VARIABLE)),
                lost.join(", ")
            )
        })
    }

    /// Tunnels whose I2P tunnels have no hops. In a private network, nobody expects to be anonymous.
    fn lack_of_hops(&self) -> Option<String> {
        let tunnels = self.tunnels();
        let bare: Vec<_> = tunnels
            .iter()
            .filter(|tunnel| tunnel.length.unwrap_or(self.session.length) == 0)
            .map(TunnelConfig::name)
            .collect();
        (!bare.is_empty() && self.router.network_id == PUBLIC_NETWORK).then(|| {
            let noun = if bare.len() == 1 { "tunnel" } else { "tunnels" };
            format!(
                "clients of {noun} {} are not anonymous: their I2P tunnels have no hops (length = 0), so every site and peer can find \
                 out the address of this router. Set length = 3",
                bare.join(", ")
            )
        })
    }

    /// Files that other users of this machine can read or change and should not.
    fn open_files(&self) -> Vec<String> {
        let tunnels = self.tunnels();
        let users = tunnels.iter().filter_map(|tunnel| tunnel.users_file.as_deref());
        let passwords = self
            .outproxy
            .iter()
            .filter_map(super::outproxy::OutproxyConfig::password_file)
            .chain(self.router.password_file.as_deref());
        let configuration = self.file.iter().filter_map(|path| open_file("configuration", path, false));
        let users = users.filter_map(|path| open_file("users", path, true));
        let passwords = passwords.filter_map(|path| open_file("password", path, true));
        let mut found: Vec<_> = configuration.chain(users).chain(passwords).collect();
        // Several tunnels may have the same file.
        found.dedup();
        found
    }
}

/// What every user of this machine can do with a file and should not, as a sentence.
#[cfg(unix)]
fn open_file(kind: &str, path: &Path, is_secret: bool) -> Option<String> {
    use std::os::unix::fs::MetadataExt;

    const READABLE: u32 = 0o004;
    const WRITABLE: u32 = 0o002;
    // A file that cannot be found is reported as an error elsewhere. A device such as /dev/null is everybody's.
    let mode = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?.mode();
    let what = match (mode & WRITABLE != 0, mode & READABLE != 0) {
        (true, _) => "change",
        (false, true) if is_secret => "read",
        _ => return None,
    };
    let (path, take) = (path.display(), if is_secret { "o-rw" } else { "o-w" });
    Some(format!("every user of this machine can {what} the {kind} file {path}: chmod {take} {path}"))
}

/// This system has no such permissions.
#[cfg(not(unix))]
fn open_file(_: &str, _: &Path, _: bool) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn risks(text: &str) -> Vec<String> {
        Config::parse(text).unwrap().risks()
    }

    #[test]
    fn tunnels_without_hops_are_named() {
        assert!(risks("").is_empty());
        let [one] = &risks("[session]\nlength = 0\n")[..] else { panic!("one") };
        assert!(one.starts_with("clients of tunnel default are not anonymous: "), "{one}");
        let some = "[session]\nlength = 0\n[[tunnel]]\nname = 'a'\n[[tunnel]]\nname = 'b'\nlength = 1\n\
                    [[tunnel]]\nname = 'c'\nlength = 0\n";
        let [one] = &risks(some)[..] else { panic!("one") };
        assert!(one.starts_with("clients of tunnels a, c are not anonymous: "), "{one}");
        assert!(risks("[router]\nnetwork-id = 7\n[session]\nlength = 0\n").is_empty(), "a private network");
    }

    #[cfg(unix)]
    #[test]
    fn files_that_every_user_can_read_or_change_are_named() {
        use std::{fs, os::unix::fs::PermissionsExt};

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "").unwrap();
        let shown = path.display().to_string();
        for (mode, is_secret, says) in [
            (0o600, true, None),
            (0o640, true, None),
            (0o644, false, None),
            (0o644, true, Some("can read the users file")),
            (0o666, true, Some("can change the users file")),
            (0o666, false, Some("can change the users file")),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let found = open_file("users", &path, is_secret);
            assert_eq!(found.is_some(), says.is_some(), "{mode:o}");
            assert!(found.is_none_or(|found| found.contains(says.unwrap()) && found.contains(&shown)));
        }
        assert_eq!(open_file("configuration", Path::new("/dev/null"), false), None);
        let text = format!(
            "[router]\nuser = 'me'\npassword-file = '{shown}'\n\
             [[tunnel]]\nauth = 'required'\nusers-file = '{shown}'\n\
             [[tunnel]]\nname = 'b'\nauth = 'required'\nusers-file = '{shown}'\n\
             [[outproxy]]\nname = 'x'\nat = '127.0.0.1:1'\nvia = 'tcp'\nprotocol = 'socks5'\nusername = 'me'\npassword-file = '{shown}'\n"
        );
        let found = risks(&text);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("the users file") && found[1].contains("the password file"), "{found:?}");
    }
}
