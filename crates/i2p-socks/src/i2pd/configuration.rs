//! What i2pd is told: its i2pd.conf, and the options with paths.

use std::{ffi::OsString, fs, io, path::Path};

use super::{find::certificates, settings::Settings};
use crate::files;

/// The network ID of I2P itself.
const PUBLIC_NETWORK: u8 = 2;

/// With fewer routers, i2pd asks for others when it starts (`reseed.threshold`).
const RESEED_THRESHOLD: usize = 25;

/// Writes i2pd.conf anew. Returns the arguments of i2pd.
///
/// Paths are arguments, because in the file a `#` begins a comment. Without these options, i2pd uses files below /etc and /var, which
/// belong to the system's own i2pd.
pub(super) fn write(settings: &Settings, sam_port: u16) -> io::Result<Vec<OsString>> {
    let directory = &settings.directory;
    let file = directory.join("i2pd.conf");
    files::replace(&file, text(settings, sam_port).as_bytes())?;
    let certificates = certificates(&settings.program);
    let mut arguments = vec![
        option("conf", &file),
        option("datadir", directory),
        option("tunconf", &directory.join("tunnels.conf")),
        option("tunnelsdir", &directory.join("tunnels.d")),
        option("pidfile", &directory.join("i2pd.pid")),
        option("certsdir", certificates.as_deref().unwrap_or(&directory.join("certificates"))),
    ];
    if let Some(reseed_file) = &settings.reseed_file {
        arguments.push(option("reseed.file", reseed_file));
    }
    Ok(arguments)
}

/// The text of i2pd.conf: the SAM bridge on loopback, and nothing else that other programs could use.
///
/// The address book stays on: i2pd 2.45 crashes at `STREAM CONNECT` without one. It fetches its feeds through I2P.
fn text(settings: &Settings, sam_port: u16) -> String {
    let network_id = settings.network_id;
    format!(
        "\
# Written by i2p-socks at each start of i2pd. Changes are lost.
netid = {network_id}
daemon = false
log = stdout
loglevel = warn
{}[sam]
enabled = true
address = 127.0.0.1
port = {sam_port}
[http]
enabled = false
[httpproxy]
enabled = false
[socksproxy]
enabled = false
[bob]
enabled = false
[i2cp]
enabled = false
[i2pcontrol]
enabled = false
[upnp]
enabled = false
{}",
        // Private networks use addresses that are reserved in I2P.
        if network_id == PUBLIC_NETWORK { "" } else { "reservedrange = false\n" },
        reseeding(settings),
    )
}

/// The section about the first routers.
///
/// In I2P, signatures are always checked: without certificates, i2pd takes no routers rather than those of anybody. Servers on the
/// internet know nothing of private networks, and none is asked beside a file.
fn reseeding(settings: &Settings) -> String {
    let is_public = settings.network_id == PUBLIC_NETWORK;
    let needs_nothing = !is_public && settings.reseed_file.is_none();
    let threshold = if needs_nothing { 0 } else { RESEED_THRESHOLD };
    let servers = if may_ask_servers(settings) { "" } else { "urls =\nyggurls =\n" };
    format!("[reseed]\nverify = {is_public}\nthreshold = {threshold}\n{servers}")
}

fn may_ask_servers(settings: &Settings) -> bool {
    settings.network_id == PUBLIC_NETWORK && settings.reseed_file.is_none()
}

/// Whether i2pd asks reseed servers on the internet when it starts, because it knows too few routers. It answers nothing before they
/// do.
pub(super) fn asks_reseed_servers(settings: &Settings) -> bool {
    too_few_routers(settings).is_some()
}

/// How many other routers i2pd has stored, if it has to ask reseed servers on the internet for more. It stores those that it has heard
/// of within a minute or two.
pub(super) fn too_few_routers(settings: &Settings) -> Option<usize> {
    let known = known_routers(&settings.directory).take(RESEED_THRESHOLD).count();
    (may_ask_servers(settings) && known < RESEED_THRESHOLD).then_some(known)
}

/// The files of its netDb, in their directories.
fn known_routers(directory: &Path) -> impl Iterator<Item = fs::DirEntry> {
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    entries(&directory.join("netDb")).flat_map(move |part| entries(&part.path()))
}

/// An option of i2pd's command line, `--NAME=VALUE`.
fn option(name: &str, value: &Path) -> OsString {
    let mut option = OsString::from(format!("--{name}="));
    option.push(value);
    option
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(directory: &Path) -> Settings {
        Settings {
            program: "/nonexistent/bin/i2pd".into(),
            directory: directory.into(),
            network_id: PUBLIC_NETWORK,
            reseed_file: None,
        }
    }

    #[test]
    fn i2pd_serves_sam_alone_and_keeps_its_files_in_its_directory() {
        let temp = tempfile::tempdir().unwrap();
        let arguments = write(&settings(temp.path()), 1234).unwrap();
        for name in ["conf", "datadir", "tunconf", "tunnelsdir", "pidfile"] {
            let begin = format!("--{name}={}", temp.path().display());
            let ours = |argument: &&OsString| argument.to_str().unwrap().starts_with(&begin);
            assert_eq!(arguments.iter().filter(ours).count(), 1, "{name}: {arguments:?}");
        }
        let text = fs::read_to_string(temp.path().join("i2pd.conf")).unwrap();
        assert!(
            text.contains("netid = 2\n") && text.ends_with("[reseed]\nverify = true\nthreshold = 25\n"),
            "{text}"
        );
        assert!(text.contains("[sam]\nenabled = true\naddress = 127.0.0.1\nport = 1234\n"), "{text}");
        let parts: Vec<_> = text.split("\n[").skip(1).collect();
        let on: Vec<_> = parts.iter().filter(|part| part.contains("enabled = true")).collect();
        assert_eq!(on.len(), 1, "{text}");
        assert_eq!(parts.iter().filter(|part| part.contains("enabled = false")).count(), 7, "{text}");
    }

    #[test]
    fn servers_on_the_internet_are_asked_for_routers_of_the_public_network_only() {
        let temp = tempfile::tempdir().unwrap();
        let public = settings(temp.path());
        assert!(asks_reseed_servers(&public));
        let with_file = Settings { reseed_file: Some("/a b#c.su3".into()), ..settings(temp.path()) };
        assert!(!asks_reseed_servers(&with_file));
        assert!(write(&with_file, 1).unwrap().contains(&"--reseed.file=/a b#c.su3".into()));
        let text = fs::read_to_string(temp.path().join("i2pd.conf")).unwrap();
        assert!(text.ends_with("verify = true\nthreshold = 25\nurls =\nyggurls =\n"), "{text}");
        let private = Settings { network_id: 77, ..settings(temp.path()) };
        assert!(!asks_reseed_servers(&private));
        let text = super::text(&private, 1);
        assert!(
            text.contains("netid = 77\n") && text.ends_with("threshold = 0\nurls =\nyggurls =\n"),
            "{text}"
        );

        for part in ["rA", "rB"] {
            fs::create_dir_all(temp.path().join("netDb").join(part)).unwrap();
        }
        for number in 0..RESEED_THRESHOLD {
            assert!(asks_reseed_servers(&public), "{number} routers");
            assert_eq!(too_few_routers(&public), Some(number));
            let part = if number % 2 == 0 { "rA" } else { "rB" };
            fs::write(temp.path().join(format!("netDb/{part}/routerInfo-{number}.dat")), "").unwrap();
        }
        assert!(!asks_reseed_servers(&public));
    }
}
