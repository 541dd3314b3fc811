//! The commands of `docs/exec.md`, as a person pastes them.

use std::process::Command;

use sam_testkit::{Dialect, Endpoint};

use super::ended;
use crate::common::lab::{Lab, TCP};

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_page_work() {
    let page = include_str!("../../../../../docs/exec.md");
    let lab = Lab::new(Dialect::I2pd245).await;
    lab.bridge.host("i2p-projekt.i2p", Endpoint::Http("a page in I2P".to_owned()));
    let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let lines: Vec<_> = blocks.flat_map(str::lines).collect();
    assert!(lines.len() >= 5, "{lines:?}");
    let mut said = Vec::new();
    for line in lines {
        let words = line.strip_prefix("i2p-socks exec ").unwrap_or_else(|| panic!("{line}"));
        let ours = lab.command(&["exec"], TCP);
        let mut command = Command::new("sh");
        // A shell takes the quotes off.
        command.arg("-c").arg(format!("\"$0\" \"$@\" {words}"));
        command.arg(ours.get_program()).args(ours.get_args());
        for (name, value) in ours.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let (code, stdout, stderr) = ended(command);
        assert_eq!(code, Some(0), "{line}: {stdout}\n{stderr}");
        said.push(stdout);
    }
    let all = said.concat();
    for part in ["a page in I2P", "stands    user namespace", "held     vsock", "kept\n", "base-files\n"] {
        assert!(all.contains(part), "{part}: {all}");
    }
    assert!(!all.contains("LEFT OUT") && !all.contains("GOT OUT"), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_says_what_an_option_opens() {
    let lab = Lab::new(Dialect::I2pd245).await;
    let mut command = lab.command(&["exec", "--check", "--allow-unix"], TCP);
    command.env("HOME", lab.state());
    let (code, stdout, stderr) = ended(command);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stdout.contains("LEFT OUT  no Unix sockets"), "{stdout}");
    assert!(stderr.contains("walls left out: 1; tries that got out: 0"), "{stderr}");
    assert!(lab.bridge.commands().is_empty(), "no router is asked");
}
