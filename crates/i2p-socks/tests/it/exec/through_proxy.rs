//! Through the running proxy: one identity for each run, the same truths, and what happens when the proxy ends.

use std::{
    collections::HashSet,
    io::{BufRead, BufReader, Write},
    process::Stdio,
};

use sam_testkit::Dialect;

use super::{OWN, connections, datagrams, exec, names, python, run};
use crate::common::lab::{ALL, Lab, TCP, started};

/// Prints the destination that a host sees.
const WHOAMI: &str = "
import socket
stream = socket.create_connection(('whoami.i2p', 7))
print(stream.makefile().read())
";

fn destination(lab: &Lab, options: &[&str]) -> String {
    let (code, stdout, stderr) = run(lab, TCP, options, &["python3", "-c", WHOAMI]);
    assert_eq!(code, Some(0), "{stdout}\n{stderr}");
    assert!(stdout.len() > 500 && !stderr.contains(OWN), "{stdout}\n{stderr}");
    stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_one_identity_and_a_name_gives_several_runs_the_same() {
    let lab = Lab::new(Dialect::I2pd245).await;
    for isolate in ["isolate = []", "isolate = ['client']", "auth = 'required'\nusers-file = 'USERS'"] {
        let users = lab.state().join("users");
        std::fs::write(&users, i2p_tunnel::Users::entry("anna", b"secret").unwrap()).unwrap();
        let _proxy = lab.proxy(&format!("{TCP}{}", isolate.replace("USERS", users.to_str().unwrap())));
        let runs = [(); 2].map(|()| destination(&lab, &[]));
        let reader = [(); 2].map(|()| destination(&lab, &["--identity", "reader"]));
        let writer = destination(&lab, &["--identity", "writer"]);
        assert_ne!(runs[0], runs[1], "{isolate}");
        assert_eq!(reader[0], reader[1], "{isolate}");
        assert!(!runs.contains(&reader[0]) && !runs.contains(&writer) && reader[0] != writer, "{isolate}");
    }
}

/// Runs that have ended leave sessions that nobody uses.
#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_runs_in_a_row_gets_through() {
    let lab = Lab::new(Dialect::I2pd245).await;
    let _proxy = lab.proxy(&format!("[session]\nmax-sessions = 4\n{TCP}"));
    let runs: HashSet<_> = (0..5).map(|_| destination(&lab, &[])).collect();
    assert_eq!(runs.len(), 5, "each has an address of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_told_the_same_as_without_a_proxy() {
    let lab = Lab::new(Dialect::Java).await;
    {
        let _proxy = lab.proxy(TCP);
        connections::outcomes_are_those_of_the_router(&lab);
        connections::hosts_outside_are_denied(&lab);
        names::exist_or_do_not(&lab);
    }
    let config = names::with_route();
    let _proxy = lab.proxy(&config);
    names::routes_are_known(&lab, &config);
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_go_through_the_relay_of_the_proxy() {
    let lab = Lab::new(Dialect::I2pd245).await;
    {
        let _proxy = lab.proxy(ALL);
        datagrams::return_from_their_targets(&lab);
        datagrams::belong_to_their_sockets(&lab);
    }
    let _proxy = lab.proxy(TCP);
    datagrams::are_rejected(&lab);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_far_end_answers_after_the_program_has_finished_sending() {
    let lab = Lab::new(Dialect::Java).await;
    let config = format!("[limits]\nhalf-close = '300ms'\n{TCP}");
    let _proxy = lab.proxy(&config);
    // A Unix socket has no reset.
    assert_eq!(connections::answer_after_the_end(&lab, &config), "question| True\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tunnel_that_is_named_is_used() {
    let lab = Lab::new(Dialect::I2pd245).await;
    let config = format!("{TCP}name = 'plain'\n{ALL}name = 'all'\n");
    let _proxy = lab.proxy(&config);
    let script = "
import errno, socket
udp = socket.socket(type=socket.SOCK_DGRAM)
udp.settimeout(20)
udp.connect((socket.gethostbyname('echo.i2p'), 7))
udp.send(b'x')
try:
    print(udp.recv(1))
except OSError as error:
    print(errno.errorcode[error.errno])
";
    for (options, said) in [
        (&[][..], "EHOSTUNREACH\n"),
        (&["--tunnel", "plain"], "EHOSTUNREACH\n"),
        (&["--tunnel", "all"], "b'x'\n"),
    ] {
        assert_eq!(python(&lab, &config, options, script), said, "{options:?}");
    }
}

/// The proxy is killed and started again while the program runs.
#[tokio::test(flavor = "multi_thread")]
async fn connections_end_with_the_proxy_and_new_ones_work_once_it_is_back() {
    let lab = Lab::new(Dialect::I2pd245).await;
    let mut proxy = lab.proxy(ALL);
    let script = "
import errno, socket, sys, time
def attempt(address):
    try:
        return socket.create_connection(address), 'open'
    except OSError as error:
        return None, errno.errorcode[error.errno]
def lookup(name):
    try:
        return socket.gethostbyname(name)
    except socket.gaierror as error:
        return {socket.EAI_AGAIN: 'failed', socket.EAI_NONAME: 'unknown'}[error.errno]
address = (socket.gethostbyname('echo.i2p'), 7)
stream, said = attempt(address)
udp = socket.socket(type=socket.SOCK_DGRAM)
udp.settimeout(20)
udp.sendto(b'x', address)
print(said, udp.recv(1), flush=True)
sys.stdin.readline()
begin = time.monotonic()
try:
    end = stream.recv(1)
except ConnectionResetError:
    end = b''
print(end, attempt(address)[1], lookup('whoami.i2p'), time.monotonic() - begin < 10, flush=True)
sys.stdin.readline()
print(attempt(address)[1], flush=True)
udp.settimeout(0.5)
for _ in range(60):
    try:
        udp.sendto(b'y', address)
        print(udp.recv(1), flush=True)
        break
    except OSError:
        pass
";
    let mut command = exec(&lab, ALL, &[], &["python3", "-c", script]);
    command.stdin(Stdio::piped());
    let mut child = started(command);
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut stdin = child.stdin.take().unwrap();
    assert_eq!(said.next().as_deref(), Some("open b'x'"));
    proxy.ended_by("KILL");
    stdin.write_all(b"\n").unwrap();
    assert_eq!(said.next().as_deref(), Some("b'' EHOSTUNREACH failed True"));
    let _proxy = lab.proxy(ALL);
    stdin.write_all(b"\n").unwrap();
    assert_eq!(said.next().as_deref(), Some("open"));
    assert_eq!(said.next().as_deref(), Some("b'y'"));
    assert_eq!(child.ended().status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_cannot_serve_the_run_is_not_gone_around() {
    let lab = Lab::new(Dialect::I2pd245).await;
    let unfit = "[[tunnel]]\nname = 'unfit'\nlisten = ['127.0.0.1:0']\nprotocols = ['http']\n";
    let refused = |options: &[&str], expected| {
        let (code, stdout, stderr) = run(&lab, unfit, options, &["echo", "started"]);
        assert_eq!((code, stdout.as_str()), (Some(expected), ""), "{stderr}");
        assert!(stderr.contains("The program was not started") && !stderr.contains(OWN), "{stderr}");
        stderr
    };
    let _proxy = lab.proxy(unfit);
    assert!(refused(&[], 69).contains("has no tunnel that exec can use"));
    assert!(refused(&["--tunnel", "unfit"], 64).contains("exec cannot use tunnel unfit"));
    assert!(refused(&["--tunnel", "missing"], 64).contains("has no tunnel called missing"));
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_to_hosts_of_a_route_go_to_its_outproxy() {
    let lab = Lab::new(Dialect::I2pd245).await;
    let _proxy = lab.proxy(&datagrams::with_outproxy());
    datagrams::go_to_the_outproxy(&lab);
}
