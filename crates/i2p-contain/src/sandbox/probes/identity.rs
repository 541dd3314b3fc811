//! Tries to recognise the machine and its user.

use std::{
    env, fs, io,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use rustix::{fs::fstat, process::getuid, system::uname};

use super::{
    super::{layout, users::user_outside},
    rows::Rows,
    targets::Targets,
};

/// Variables that name hosts, sessions, sockets and users.
const TELLING: [&str; 11] = [
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "HOSTNAME",
    "LC_ORIGIN",
    "SSH_AUTH_SOCK",
    "SSH_CLIENT",
    "SSH_CONNECTION",
    "SUDO_USER",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "http_proxy",
];

/// Certificates in which installers put the machine's name.
const CERTIFICATES: [&str; 2] = ["/etc/pki/tls/certs/localhost.crt", "/etc/ssl/certs/ssl-cert-snakeoil.pem"];

/// Directories of keys and licences.
const KEYS: [&str; 4] =
    ["/etc/pki/consumer", "/etc/pki/entitlement", "/etc/pki/tls/private", "/etc/ssl/private"];

/// Directories of sandboxes that a machine or its user may be named after.
const PARTS_OF_SANDBOXES: [&str; 16] = [
    "bin", "dev", "etc", "home", "lib", "lib64", "opt", "proc", "root", "run", "sbin", "shm", "sys", "tmp",
    "usr", "var",
];

pub(super) fn try_all(rows: &mut Rows, targets: &Targets) {
    rows.add("root of the machine", root());
    rows.add("host name", host_name(targets));
    let mounts = read("/proc/self/mountinfo");
    let parts: Vec<_> = mounts.split(['/', ' ', ',', '=', ':', '\n']).collect();
    let told = targets.names.iter().filter(|name| parts.contains(&name.as_str()));
    rows.add_found("names in the list of mounts", &told.cloned().collect::<Vec<_>>());
    let certificates = CERTIFICATES.iter().filter(|path| fs::read(path).is_ok_and(|text| !text.is_empty()));
    rows.add_found(
        "certificates of the machine",
        &certificates.map(|path| (*path).to_owned()).collect::<Vec<_>>(),
    );
    let keys =
        KEYS.iter().filter(|path| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()));
    rows.add_found("private keys of the machine", &keys.map(|path| (*path).to_owned()).collect::<Vec<_>>());
    rows.add("machine-id", same(&read("/etc/machine-id"), &targets.machine_id));
    rows.add("boot_id", same(&read("/proc/sys/kernel/random/boot_id"), &targets.boot_id));
    rows.add("accounts of the machine", same(&read("/etc/passwd"), &targets.accounts));
    rows.add("control group", same(&read("/proc/self/cgroup"), &targets.control_group));
    if let Some(users) = targets.terminal {
        rows.add("terminal of the user", terminal(users));
    }
    rows.add_found("network interfaces", &common(&interfaces(), &targets.interfaces));
    let telling = TELLING.iter().filter(|name| env::var_os(name).is_some());
    rows.add_found("telling environment", &telling.map(|name| (*name).to_owned()).collect::<Vec<_>>());
    rows.add(
        "command line of the kernel",
        match read("/proc/cmdline") {
            line if line.is_empty() => Err("empty".to_owned()),
            line => Ok(line),
        },
    );
    rows.add(
        "time zone",
        match env::var("TZ") {
            Ok(zone) if zone == "UTC" => Err(zone),
            zone => Ok(format!("{zone:?}")),
        },
    );
}

/// Whom the kernel takes this user for where it decides about files.
fn root() -> Result<String, String> {
    match user_outside(&read("/proc/self/uid_map"), getuid().as_raw()) {
        Some(0) => Ok("root".to_owned()),
        other => Err(format!("{other:?}")),
    }
}

/// The names of the machine, and of its NIS domain, which most machines lack.
fn host_name(targets: &Targets) -> Result<String, String> {
    let found = uname();
    let domain = found.domainname().to_string_lossy().into_owned();
    if domain != layout::DOMAIN_NAME && same(&domain, &targets.domain_name).is_ok() {
        return Ok(domain);
    }
    same(&found.nodename().to_string_lossy(), &targets.host_name)
}

/// The names of this machine, of a home directory and of the user's: without those that its devices and file systems
/// have, too, and those that sandboxes have or everybody knows.
pub(super) fn names(home: &Path) -> Vec<String> {
    let mounts = read("/proc/self/mountinfo");
    let devices = |name: &str| {
        mounts.lines().filter_map(|line| line.split_once(" - ")).any(|(_, device)| device.contains(name))
    };
    let host = uname().nodename().to_string_lossy().into_owned();
    let users = env::var_os("HOME").map(PathBuf::from);
    let homes = [Some(home), users.as_deref()].into_iter().flatten().filter_map(Path::file_name);
    let homes = homes.map(|name| name.to_string_lossy().into_owned());
    let known = |name: &str| {
        ["", layout::HOST_NAME, layout::USER_NAME].contains(&name) || PARTS_OF_SANDBOXES.contains(&name)
    };
    [host].into_iter().chain(homes).filter(|name| !known(name) && !devices(name)).collect()
}

/// The file system and the number of a terminal.
pub(super) fn device(terminal: impl AsFd) -> io::Result<(u64, u64)> {
    let found = fstat(terminal)?;
    Ok((found.st_dev, found.st_rdev))
}

/// Whether a standard stream is the user's terminal.
fn terminal(users: (u64, u64)) -> Result<String, String> {
    let (input, output, errors) = (io::stdin(), io::stdout(), io::stderr());
    let streams = [input.as_fd(), output.as_fd(), errors.as_fd()];
    if streams.into_iter().any(|stream| device(stream).is_ok_and(|found| found == users)) {
        return Ok("it is a standard stream".to_owned());
    }
    Err("none of the standard streams".to_owned())
}

/// The names of interfaces but the loopback, with their hardware addresses, as the file system tells them.
pub(super) fn interfaces() -> Vec<String> {
    let entries = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let named = entries.map(|entry| {
        let address = fs::read_to_string(entry.path().join("address")).unwrap_or_default();
        format!("{}={}", entry.file_name().display(), address.trim())
    });
    named.filter(|entry| !entry.starts_with("lo=")).collect()
}

/// A text file, or nothing.
pub(super) fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn same(found: &str, outside: &str) -> Result<String, String> {
    if !found.is_empty() && found == outside { Ok(found.to_owned()) } else { Err(found.to_owned()) }
}

fn common(found: &[String], outside: &[String]) -> Vec<String> {
    found.iter().filter(|entry| outside.contains(entry)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_that_is_named_after_a_directory_of_sandboxes_tells_nothing() {
        assert!(!names(Path::new("/srv/home")).contains(&"home".to_owned()));
        assert!(names(Path::new("/srv/alice-of-this-test")).contains(&"alice-of-this-test".to_owned()));
    }
}
