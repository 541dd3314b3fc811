//! What a contained program sees in place of the machine's own files: names, lists and contents.

use std::net::IpAddr;

/// The user and group that the program sees itself as: the same for everybody.
pub(super) const USER_ID: u32 = 1000;
/// The name of this user.
pub(super) const USER_NAME: &str = "user";
/// The home directory of this user, unless the real one is shared.
pub(super) const HOME: &str = "/home/user";
/// Where programs keep sockets and files of a session.
pub(super) const RUNTIME_DIR: &str = "/run/user/1000";
/// The name of the machine.
pub(super) const HOST_NAME: &str = "localhost";
/// The name of its NIS domain: that of a kernel that was never told one.
pub(super) const DOMAIN_NAME: &str = "(none)";

/// Directories and entries of `/etc` that are shown if they exist, read-only: programs and what they need to run.
pub(super) const SHOWN: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/nix/store",
    "/gnu/store",
    "/var/lib/ca-certificates",
    "/etc/R",
    "/etc/alternatives",
    "/etc/bash.bashrc",
    "/etc/bash_completion.d",
    "/etc/bindresvport.blacklist",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/chromium",
    "/etc/chromium.d",
    "/etc/crypto-policies",
    "/etc/debian_version",
    "/etc/emacs",
    "/etc/firefox",
    "/etc/firefox-esr",
    "/etc/fonts",
    "/etc/gai.conf",
    "/etc/gnutls",
    "/etc/inputrc",
    "/etc/java-11-openjdk",
    "/etc/java-17-openjdk",
    "/etc/java-21-openjdk",
    "/etc/java-25-openjdk",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/libnl-3",
    "/etc/libreoffice",
    "/etc/locale.alias",
    "/etc/lynx",
    "/etc/magic",
    "/etc/mailcap",
    "/etc/mime.types",
    "/etc/nanorc",
    "/etc/openssl",
    "/etc/os-release",
    "/etc/perl",
    "/etc/pki",
    "/etc/profile",
    "/etc/profile.d",
    "/etc/protocols",
    "/etc/python3",
    "/etc/python3.11",
    "/etc/python3.12",
    "/etc/python3.13",
    "/etc/rpc",
    "/etc/services",
    "/etc/shells",
    "/etc/skel",
    "/etc/ssh/ssh_config",
    "/etc/ssh/ssh_config.d",
    "/etc/ssl",
    "/etc/terminfo",
    "/etc/vim",
    "/etc/xdg",
    "/etc/zsh",
];

/// Directories of `/etc` with keys and licences of the machine: shown empty.
pub(super) const MASKED_KEYS: &[&str] =
    &["/etc/pki/consumer", "/etc/pki/entitlement", "/etc/pki/tls/private", "/etc/ssl/private"];

/// Certificates that installers make for the machine, with its name in them: shown empty.
pub(super) const MASKED_CERTIFICATES: &[&str] =
    &["/etc/pki/tls/certs/localhost.crt", "/etc/ssl/certs/ssl-cert-snakeoil.pem"];

/// Parts of `/sys` that are shown, read-only: how many processors there are, which libraries want to know.
pub(super) const SHOWN_HARDWARE: &[&str] = &["/sys/devices/system/cpu", "/sys/devices/system/node"];

/// Files of `/proc` that tell machines apart, or act on the whole machine: shown empty.
pub(super) const MASKED_PROC_FILES: &[&str] = &[
    "/proc/cmdline",
    "/proc/config.gz",
    "/proc/diskstats",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/key-users",
    "/proc/keys",
    "/proc/kmsg",
    "/proc/locks",
    "/proc/mdstat",
    "/proc/misc",
    "/proc/partitions",
    "/proc/softirqs",
    "/proc/swaps",
    "/proc/sysrq-trigger",
    "/proc/timer_list",
];

/// Directories of `/proc` that tell machines apart, or act on the whole machine: shown empty.
pub(super) const MASKED_PROC_DIRECTORIES: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/bus",
    "/proc/driver",
    "/proc/fs",
    "/proc/irq",
    "/proc/pressure",
    "/proc/scsi",
];

/// The devices of `/dev` that are shown.
pub(super) const DEVICES: &[&str] = &["full", "null", "random", "tty", "urandom", "zero"];

/// The program's own files in `/etc`, with their contents.
pub(super) fn own_configuration(
    name_server: IpAddr,
    machine_id: &str,
    home: &str,
) -> [(&'static str, String); 8] {
    [
        ("/etc/group", format!("root:x:0:\n{USER_NAME}:x:{USER_ID}:\nnogroup:x:65534:\n")),
        ("/etc/host.conf", "multi on\n".to_owned()),
        ("/etc/hostname", format!("{HOST_NAME}\n")),
        ("/etc/hosts", format!("127.0.0.1 {HOST_NAME}\n::1 {HOST_NAME}\n")),
        ("/etc/machine-id", format!("{machine_id}\n")),
        ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n".to_owned()),
        (
            "/etc/passwd",
            format!(
                "root:x:0:0:root:/root:/usr/sbin/nologin\n\
                 {USER_NAME}:x:{USER_ID}:{USER_ID}:{USER_NAME}:{home}:/bin/sh\n\
                 nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
            ),
        ),
        // A dial through I2P takes its time, and a second try asks for the same name again.
        ("/etc/resolv.conf", format!("nameserver {name_server}\noptions timeout:30 attempts:1\n")),
    ]
}
