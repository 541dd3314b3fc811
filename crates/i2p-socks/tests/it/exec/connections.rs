//! Connections: what is fetched, and what the program is told of a dial that fails.

use sam_testkit::{Act, Dialect, Endpoint};

use super::{python, run};
use crate::common::lab::{Lab, TCP};

/// Connects to each host, and prints the host and the outcome.
const OUTCOMES: &str = "
import errno, socket
for host in HOSTS:
    try:
        # The first address alone: a failure of one would be followed by an attempt at the other.
        family, _, _, _, address = socket.getaddrinfo(host, 80, type=socket.SOCK_STREAM)[0]
        stream = socket.socket(family)
        stream.settimeout(9)
        stream.connect(address)
        print(host, 'open')
    except OSError as error:
        # Only the program's own limit has no number.
        print(host, errno.errorcode[error.errno] if error.errno else 'silent')
";

fn outcomes(lab: &Lab, config: &str, hosts: &[&str]) -> Vec<String> {
    let script = format!("HOSTS = {hosts:?}\n{OUTCOMES}");
    python(lab, config, &[], &script).lines().map(ToOwned::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_fetches_a_page_without_any_setting() {
    let lab = Lab::new(Dialect::I2pd245).await;
    let page = lab.bridge.host("page.i2p", Endpoint::Http("a page in I2P".to_owned()));
    let b32 = page.parse::<i2p_name::Destination>().unwrap().b32().to_string();
    for host in ["page.i2p", &b32] {
        let (code, stdout, stderr) = run(&lab, TCP, &[], &["curl", "-sS", &format!("http://{host}/")]);
        assert_eq!((code, stdout.as_str()), (Some(0), "a page in I2P"), "{stderr}");
    }
    let (code, stdout, stderr) = run(&lab, TCP, &[], &["curl", "-6", "-sS", "http://page.i2p/"]);
    assert_eq!((code, stdout.as_str()), (Some(0), "a page in I2P"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_program_is_told_is_what_happened() {
    outcomes_are_those_of_the_router(&Lab::new(Dialect::Java).await);
}

pub(super) fn outcomes_are_those_of_the_router(lab: &Lab) {
    let mut expected = Vec::new();
    for (host, result, outcome) in [
        ("refused.i2p", "CONNECTION_REFUSED", "ECONNREFUSED"),
        ("gone.i2p", "CANT_REACH_PEER", "EHOSTUNREACH"),
        ("broken.i2p", "I2P_ERROR", "EHOSTUNREACH"),
        // Its SYN stays unanswered until the kernel gives up, after two minutes.
        ("slow.i2p", "TIMEOUT", "silent"),
    ] {
        lab.bridge.host(host, Endpoint::Echo);
        lab.bridge.once("STREAM CONNECT", Act::refuse(&format!("STREAM STATUS RESULT={result}")));
        expected.push(format!("{host} {outcome}"));
    }
    lab.bridge.once("STREAM CONNECT", [Act::Behave]);
    expected.push("echo.i2p open".to_owned());
    let hosts: Vec<_> = expected.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(outcomes(lab, TCP, &hosts), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dial_that_is_given_up_is_reported_soon_after_its_limit() {
    let lab = Lab::new(Dialect::Java).await;
    lab.bridge.host("slow.i2p", Endpoint::Echo);
    lab.bridge.once("STREAM CONNECT", Act::refuse("STREAM STATUS RESULT=TIMEOUT"));
    // The kernel gives up after three seconds.
    let config = format!("[limits]\ndial = '2s'\n{TCP}");
    assert_eq!(outcomes(&lab, &config, &["slow.i2p"]), ["slow.i2p ETIMEDOUT"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_outside_i2p_are_denied_where_no_route_leads_out() {
    hosts_outside_are_denied(&Lab::new(Dialect::I2pd245).await);
}

pub(super) fn hosts_outside_are_denied(lab: &Lab) {
    // IPv4 has no packet that Linux reports as EACCES.
    let hosts = ["198.51.100.7", "192.168.0.1", "2001:db8::1", "250.1.2.3"];
    let expected = [
        "198.51.100.7 EHOSTUNREACH",
        "192.168.0.1 EHOSTUNREACH",
        "2001:db8::1 EACCES",
        "250.1.2.3 EHOSTUNREACH",
    ];
    assert_eq!(outcomes(lab, TCP, &hosts), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_reaches_its_own_listeners_and_no_others() {
    let lab = Lab::new(Dialect::I2pd245).await;
    let outside = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = outside.local_addr().unwrap().port();
    let script = format!(
        "
import errno, socket
own = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(own.getsockname())
own.accept()[0].sendall(b'own')
print(client.recv(3).decode())
print(errno.errorcode[socket.socket().connect_ex(('127.0.0.1', {port}))])
"
    );
    assert_eq!(python(&lab, TCP, &[], &script), "own\nECONNREFUSED\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_megabyte_goes_and_returns() {
    let lab = Lab::new(Dialect::I2pd245).await;
    let script = "
import hashlib, os, socket, threading
data = os.urandom(1 << 20)
stream = socket.create_connection(('echo.i2p', 7))
threading.Thread(target=lambda: stream.sendall(data)).start()
back = b''
while len(back) < len(data):
    back += stream.recv(1 << 16)
print(back == data)
";
    assert_eq!(python(&lab, TCP, &[], script), "True\n");
}

/// The end of the program's data is held back, since routers would drop what the far end still sends.
#[tokio::test(flavor = "multi_thread")]
async fn a_far_end_may_answer_after_the_program_has_finished_sending() {
    let lab = Lab::new(Dialect::Java).await;
    let config = format!("[limits]\nhalf-close = '300ms'\n{TCP}");
    // Nobody sends anything any more, so the stream is given up.
    assert_eq!(answer_after_the_end(&lab, &config), "questionreset True\n");
}

/// What an echo sends to a program that has finished sending, how that ends, and whether it does so no earlier than after 300 ms. The
/// echo waits for the end of our data, which it does not get before.
pub(super) fn answer_after_the_end(lab: &Lab, config: &str) -> String {
    let script = "
import socket, time
stream = socket.create_connection(('echo.i2p', 7))
stream.sendall(b'question')
stream.shutdown(socket.SHUT_WR)
begin = time.monotonic()
back = b''
try:
    while len(back) < 9:
        back += stream.recv(100) or b'|'
except ConnectionResetError:
    back += b'reset'
print(back.decode(), time.monotonic() - begin >= 0.3)
";
    python(lab, config, &[], script)
}
