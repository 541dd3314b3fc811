//! The life of the program: exit codes, streams, signals, and what is left when something is killed.

use std::{
    fs,
    io::{Read, Write},
    time::Instant,
};

use sam_testkit::Dialect;

use super::{ended, exec, run};
use crate::common::{
    lab::{Lab, TCP, started},
    processes,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_is_that_of_the_program() {
    let lab = Lab::new(Dialect::I2pd245).await;
    for (line, code) in [("exit 0", 0), ("exit 7", 7), ("exit 69", 69), ("kill -KILL $$", 137)] {
        let (found, _, stderr) = run(&lab, TCP, &[], &["sh", "-c", line]);
        assert_eq!(found, Some(code), "{line}: {stderr}");
        assert!(!stderr.contains("not started"), "{stderr}");
    }
    let (code, _, stderr) = run(&lab, TCP, &[], &["no-such-program"]);
    assert_eq!(code, Some(127), "{stderr}");
    assert!(stderr.contains("cannot run no-such-program"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_has_codes_of_its_own_and_says_that_nothing_was_started() {
    let lab = Lab::new(Dialect::I2pd245).await;
    let (code, stdout, stderr) = run(&lab, TCP, &["--bind", "/proc"], &["echo", "started"]);
    assert_eq!((code, stdout.as_str()), (Some(64), ""), "{stderr}");
    assert!(stderr.contains("/proc") && stderr.contains("The program was not started"), "{stderr}");
    let (code, stdout, stderr) = run(&lab, "[limits]\ndail = 1\n", &[], &["echo", "started"]);
    assert_eq!((code, stdout.as_str()), (Some(64), ""), "{stderr}");
    assert!(stderr.contains("dail") && stderr.contains("The program was not started"), "{stderr}");
    let mut command = crate::common::i2p_socks(&["exec", "--router", "sam", "--sam", "127.0.0.1:9"]);
    command.arg("--state-dir").arg(lab.state()).args(["--", "echo", "started"]);
    let (code, stdout, stderr) = ended(command);
    assert_eq!((code, stdout.as_str()), (Some(69), ""), "{stderr}");
    assert!(stderr.contains("The program was not started"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stdin_and_stdout_are_those_of_the_command() {
    let lab = Lab::new(Dialect::I2pd245).await;
    let mut child = started(exec(&lab, TCP, &[], &["cat"]));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"through").unwrap();
    drop(stdin);
    let output = child.ended();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"through"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_is_passed_on() {
    let lab = Lab::new(Dialect::I2pd245).await;
    let line = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done";
    let mut child = started(exec(&lab, TCP, &[], &["sh", "-c", line]));
    let mut ready = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    processes::kill("TERM", child.id());
    assert_eq!(child.ended().status.code(), Some(3));
}

/// The processes of the sandbox end with the process outside, and nobody holds the output open.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_run_that_is_killed() {
    let lab = Lab::new(Dialect::I2pd245).await;
    let line = "echo ready; setsid sleep 1000 & sleep 1000";
    let mut child = started(exec(&lab, TCP, &[], &["sh", "-c", line]));
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 6]).unwrap();
    // Any thread may have started them.
    let threads = fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
    let children = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("children")).unwrap());
    let stages: Vec<u32> =
        children.collect::<String>().split_whitespace().map(|id| id.parse().unwrap()).collect();
    assert!(!stages.is_empty());
    processes::kill("KILL", child.id());
    let killed = Instant::now();
    stdout.read_to_end(&mut Vec::new()).unwrap();
    for stage in stages {
        processes::until("a stage is left", || processes::has_ended(stage).then_some(())).await;
    }
    assert!(killed.elapsed().as_millis() < 1_000, "{:?}", killed.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn open_connections_end_with_their_session() {
    let lab = Lab::new(Dialect::I2pd245).await;
    let script = "
import socket
stream = socket.create_connection(('echo.i2p', 7))
print('ready', flush=True)
try:
    print(stream.recv(1))
except ConnectionResetError:
    print('reset', flush=True)
";
    let mut child = started(exec(&lab, TCP, &[], &["python3", "-c", script]));
    child.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
    lab.bridge.drop_control_connections();
    let output = child.ended();
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(matches!(said.as_str(), "reset\n" | "b''\n"), "{said}");
}
