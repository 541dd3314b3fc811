//! Names: what DNS answers inside, and what the bridge is asked.

use sam_testkit::Dialect;

use super::python;
use crate::common::lab::{Lab, TCP};

/// A SOCKS outproxy that nobody is asked to reach, and a route to it.
const ROUTE: &str = "[[outproxy]]\nname = 'out'\nprotocol = 'socks5'\nat = '127.0.0.1:9'\nvia = 'tcp'\n[[route]]\nhost = 'example.com'\n\
                     via = 'out'\n";

/// Prints what the resolver says of each name.
const LOOKUPS: &str = "
import socket
for name in NAMES:
    try:
        print(name, *sorted({entry[0].name for entry in socket.getaddrinfo(name, 80)}))
    except socket.gaierror as error:
        print(name, {socket.EAI_NONAME: 'unknown', socket.EAI_AGAIN: 'failed'}.get(error.errno, error.errno))
";

fn lookups(lab: &Lab, config: &str, options: &[&str], names: &[&str]) -> Vec<String> {
    let script = format!("NAMES = {names:?}\n{LOOKUPS}");
    python(lab, config, options, &script).lines().map(ToOwned::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_have_virtual_addresses_of_both_families_or_do_not_exist() {
    exist_or_do_not(&Lab::new(Dialect::I2pd245).await);
}

pub(super) fn exist_or_do_not(lab: &Lab) {
    let names =
        ["echo.i2p", "missing.i2p", "proxy.i2p", "example.com", "use-application-dns.net", "nas.local"];
    let expected = [
        "echo.i2p AF_INET AF_INET6",
        "missing.i2p unknown",
        "proxy.i2p unknown",
        "example.com unknown",
        "use-application-dns.net unknown",
        "nas.local unknown",
    ];
    assert_eq!(lookups(lab, TCP, &[], &names), expected);
    let commands = lab.bridge.commands();
    for never in ["example.com", "proxy.i2p", "use-application-dns", "nas"] {
        assert!(!commands.iter().any(|line| line.contains(never)), "{commands:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_to_which_a_route_leads_have_addresses_unless_only_i2p_is_wanted() {
    routes_are_known(&Lab::new(Dialect::I2pd245).await, &with_route());
}

/// A configuration with a route to `example.com`.
pub(super) fn with_route() -> String {
    format!("{ROUTE}{TCP}")
}

pub(super) fn routes_are_known(lab: &Lab, config: &str) {
    let names = ["example.com", "example.org", "echo.i2p"];
    let i2p = "echo.i2p AF_INET AF_INET6";
    assert_eq!(
        lookups(lab, config, &[], &names),
        ["example.com AF_INET AF_INET6", "example.org unknown", i2p]
    );
    assert_eq!(
        lookups(lab, config, &["--dns-only-i2p"], &names),
        ["example.com unknown", "example.org unknown", i2p]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_its_name_whatever_server_is_asked() {
    let lab = Lab::new(Dialect::I2pd245).await;
    let script = "
import socket
address = socket.gethostbyname('echo.i2p')
print(address.split('.')[0], socket.gethostbyaddr(address)[0])
question = b'\\x12\\x34\\x01\\0\\0\\1\\0\\0\\0\\0\\0\\0\\x04echo\\x03i2p\\0\\0\\1\\0\\1'
udp = socket.socket(type=socket.SOCK_DGRAM)
udp.sendto(question, ('198.51.100.53', 53))
print(udp.recv(512).endswith(socket.inet_aton(address)))
tcp = socket.create_connection(('198.51.100.53', 53))
tcp.sendall(len(question).to_bytes(2, 'big') + question)
print(tcp.recv(514).endswith(socket.inet_aton(address)))
";
    assert_eq!(python(&lab, TCP, &[], script), "250 echo.i2p\nTrue\nTrue\n");
}
