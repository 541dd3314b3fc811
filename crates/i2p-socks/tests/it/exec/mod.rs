//! `exec`: programs whose whole traffic goes through a bridge of the test kit.
#![cfg(target_os = "linux")]

mod connections;
mod datagrams;
mod documented;
mod homes;
mod life;
mod names;
mod through_proxy;
mod walls;

use std::process::{Command, Output};

use crate::common::lab::{Lab, started};

/// The command that runs a program.
fn exec(lab: &Lab, config: &str, options: &[&str], program: &[&str]) -> Command {
    let mut command = lab.command(&["exec"], config);
    command.args(options).arg("--").args(program);
    command
}

/// Runs a program to its end, with nothing on stdin. Returns the exit code, stdout and stderr.
fn run(lab: &Lab, config: &str, options: &[&str], program: &[&str]) -> (Option<i32>, String, String) {
    ended(exec(lab, config, options, program))
}

fn ended(command: Command) -> (Option<i32>, String, String) {
    let mut child = started(command);
    drop(child.stdin.take());
    let Output { status, stdout, stderr } = child.ended();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// What stderr says of a run that has sessions of its own.
const OWN: &str = "no proxy is running";

/// Runs a script of Python, through the proxy if one is running. Returns what it prints.
fn python(lab: &Lab, config: &str, options: &[&str], script: &str) -> String {
    let (code, stdout, stderr) = run(lab, config, options, &["python3", "-c", script]);
    assert_eq!(code, Some(0), "{stdout}\n{stderr}");
    let has_proxy = lab.state().join("control.sock").exists();
    assert_eq!(stderr.contains(OWN), !has_proxy, "{stderr}");
    stdout
}
