//! The configuration of Dante, a SOCKS server that two suites run beside our proxy.

use std::path::Path;

/// Allows everything to every client on this machine. Dante takes its users from the system, so there are none.
#[must_use]
pub fn configuration(port: u16, log: &Path) -> String {
    format!(
        "\
logoutput: {log}
internal: 127.0.0.1 port = {port}
external: lo
clientmethod: none
socksmethod: none
user.privileged: root
user.unprivileged: root
client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
socks pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 command: bind connect udpassociate }}
socks pass {{ from: 0.0.0.0/0 to: 127.0.0.0/8 command: bindreply udpreply }}
",
        log = log.display()
    )
}
