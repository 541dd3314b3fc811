//! Stdout that cannot be written: it never ends the proxy, and a reader that has left is no failure of a command.
#![cfg(target_os = "linux")]

use std::{
    fs,
    io::{BufRead, BufReader, PipeReader, PipeWriter, pipe},
    net::SocketAddr,
    process::{Command, Output, Stdio},
};

use i2p_name::Destination;
use sam_testkit::Dialect;
use serde_json::Value;

use crate::common::{
    self, Running, connect, echo,
    lab::{Lab, TCP},
};

const NOT_ANNOUNCED: &str = "cannot write to stdout that listeners are ready";
const IN_FORCE: &str = "the new configuration is in effect";

fn tunnels(names: &[&str]) -> String {
    names.iter().map(|name| format!("[[tunnel]]\nname = '{name}'\nlisten = ['127.0.0.1:0']\n")).collect()
}

/// What a command shows on a terminal. `script` of util-linux gives it one.
fn on_terminal(arguments: &str) -> String {
    let state = tempfile::tempdir().unwrap();
    let program = common::i2p_socks(&[]);
    let program = program.get_program().to_str().unwrap();
    let line = format!("stty cols 80; exec {program} {arguments} --state-dir {}", state.path().display());
    let mut script = Command::new("script");
    let output = script.args(["--quiet", "--command", &line, "/dev/null"]).stdin(Stdio::null()).output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

#[test]
fn a_command_that_starts_nothing_draws_no_progress_on_a_terminal() {
    let explained = on_terminal("explain a.i2p 80");
    assert!(explained.contains("I2P") && !explained.contains(['[', '\u{1b}']), "{explained:?}");
    let status = on_terminal("status");
    assert!(status.starts_with("i2p-socks: no proxy is running"), "{status:?}");
}

/// Starts a proxy with a tunnel `a`. A shell redirects its stdout before.
fn proxy(lab: &Lab, redirection: &str, stdin: impl Into<Stdio>) -> Running {
    let proxy = lab.command(&["run"], &tunnels(&["a"]));
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec \"$0\" \"$@\" {redirection}")]).arg(proxy.get_program());
    command.args(proxy.get_args()).stdin(stdin);
    Running::of(command)
}

/// Where a tunnel listens.
fn address(lab: &Lab, tunnel: &str) -> SocketAddr {
    let ports = fs::read_to_string(lab.state().join("ports.json")).unwrap();
    let ports: Value = serde_json::from_str(&ports).unwrap();
    let listeners = ports["listeners"].as_array().unwrap();
    let found = listeners.iter().find(|listener| listener["tunnel"] == tunnel).unwrap();
    found["address"].as_str().unwrap().parse().unwrap()
}

/// Opens a listener by a reload. Then the proxy, its stream and the new listener are all there.
fn check_that_a_reload_keeps_everything(lab: &Lab, mut running: Running, warnings: usize) {
    let (code, mut stream) = connect(address(lab, "a"), "echo.i2p");
    assert_eq!(code, 0);
    // Written for the reload.
    let _ = lab.command(&["run"], &tunnels(&["a", "b"]));
    running.send("HUP");
    running.stderr_line(IN_FORCE);
    running.stderr_lines(NOT_ANNOUNCED, warnings);
    assert!(running.is_running(), "{}", running.said());
    echo(&mut stream);
    echo(&mut connect(address(lab, "b"), "echo.i2p").1);
    drop(stream);
    assert_eq!(running.signal("TERM"), Some(0), "{}", running.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_behind_stdout_ends_neither_the_start_nor_the_proxy() {
    let lab = Lab::new(Dialect::Java).await;
    let mut running = proxy(&lab, ">/dev/full", Stdio::null());
    running.stderr_line(NOT_ANNOUNCED);
    check_that_a_reload_keeps_everything(&lab, running, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_waits_for_the_first_line_and_leaves_does_not_end_the_proxy() {
    let lab = Lab::new(Dialect::Java).await;
    let (reader, writer) = pipe().unwrap();
    let running = proxy(&lab, ">&0 0</dev/null", writer);
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).unwrap();
    assert!(line.starts_with("socks 127.0.0.1:"), "{line}");
    check_that_a_reload_keeps_everything(&lab, running, 1);
}

/// The writing end of a pipe that nobody reads.
fn without_reader() -> PipeWriter {
    let (reader, writer): (PipeReader, PipeWriter) = pipe().unwrap();
    drop(reader);
    writer
}

/// Runs a command whose reader has left. It ends with this code, and complains about nothing but `complaint`. Without a proxy, some
/// commands also say whose answer it is.
fn check_that_the_reader_may_leave(lab: &Lab, words: &[&str], code: i32, complaint: &str) {
    let mut command = lab.command(words, TCP);
    let password = lab.state().join("password");
    fs::write(&password, "secret\n").unwrap();
    let stdin = fs::File::open(password).unwrap();
    let Output { status, stderr, .. } =
        command.stdin(stdin).stdout(without_reader()).stderr(Stdio::piped()).output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(code), "{words:?}: {stderr}");
    assert!(!stderr.contains("stdout") && stderr.contains(complaint), "{words:?}: {stderr}");
    let is_complaint = |line: &&str| !line.starts_with("no proxy is running") && !line.contains(" INFO ");
    let complaints = stderr.lines().filter(is_complaint);
    assert_eq!(complaints.count(), usize::from(!complaint.is_empty()), "{words:?}: {stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_leaves_is_no_failure_of_any_command() {
    let lab = Lab::new(Dialect::Java).await;
    let destination = Destination::from_bytes([&[1; 384][..], &[5, 0, 4, 0, 7, 0, 4]].concat()).unwrap();
    let hosts: String = (0..500).map(|n| format!("n{n}.i2p={}\n", destination.to_base64())).collect();
    let file = lab.state().join("some-names");
    fs::write(&file, hosts).unwrap();
    let (code, _, stderr) = lab.run(&["names", "import", file.to_str().unwrap()], TCP, b"");
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(lab.run(&["keys", "new", "mine"], TCP, b"").0, Some(0));
    for running in [false, true] {
        let _proxy = running.then(|| lab.proxy(TCP));
        for (words, code, complaint) in [
            (&["names", "list"][..], 0, ""),
            (&["names", "list", "--json"], 0, ""),
            (&["names", "export"], 0, ""),
            (&["names", "import", file.to_str().unwrap()], 0, ""),
            (&["resolve", "n1.i2p"], 0, ""),
            (&["resolve", "nobody.i2p"], 1, "the name is unknown"),
            (&["keys", "show", "mine"], 0, ""),
            (&["keys", "list", "--json"], 0, ""),
            (&["explain", "a.i2p", "80"], 0, ""),
            (&["check", "--live"], 0, ""),
            (&["generate", "config"], 0, ""),
            (&["generate", "man"], 0, ""),
            (&["passwd", "alice"], 0, ""),
            (&["connect", "source.i2p", "-q"], 0, ""),
            (&["--help"], 0, ""),
            (&["--version"], 0, ""),
        ] {
            check_that_the_reader_may_leave(&lab, words, code, complaint);
        }
        if running {
            check_that_the_reader_may_leave(&lab, &["status"], 0, "");
        }
    }
}

#[test]
fn a_full_disk_is_a_failure_of_a_command() {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = common::i2p_socks(&["generate", "config"]);
    let Output { status, stderr, .. } = command.stdout(full).output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert_eq!(stderr, "i2p-socks: cannot write to stdout: No space left on device (os error 28)\n");
}
