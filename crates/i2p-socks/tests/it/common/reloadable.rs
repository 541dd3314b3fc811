//! Proxies whose configuration changes while they run.

use std::{fs, net::SocketAddr, path::PathBuf};

use sam_testkit::TestBridge;

use super::{Running, output};

/// A proxy whose configuration file the test changes.
pub(crate) struct Proxy {
    pub(crate) running: Running,
    pub(crate) dir: tempfile::TempDir,
    sam: String,
}

impl Proxy {
    pub(crate) fn start(bridge: &TestBridge, text: &str) -> Self {
        Self::start_with(bridge, text, &[])
    }

    /// Starts the proxy with further arguments.
    pub(crate) fn start_with(bridge: &TestBridge, text: &str, more: &[&str]) -> Self {
        Self::start_by(bridge, text, |args| Running::start(&[args, more].concat()))
    }

    pub(crate) fn start_by(bridge: &TestBridge, text: &str, start: impl FnOnce(&[&str]) -> Running) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sam = format!("[router]\nbackend = 'sam'\nsam = '{}'\n", bridge.address());
        fs::write(dir.path().join("config.toml"), format!("{sam}{text}")).unwrap();
        let (config, state) = (dir.path().join("config.toml"), dir.path().join("state"));
        let args = ["--config", config.to_str().unwrap(), "--state-dir", state.to_str().unwrap()];
        Self { running: start(&args), dir, sam }
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("config.toml")
    }

    /// Writes the file.
    pub(crate) fn change(&self, text: &str) {
        fs::write(self.config(), format!("{}{text}", self.sam)).unwrap();
    }

    /// Writes the file, and reloads it by a signal.
    pub(crate) fn reload(&self, text: &str) {
        self.change(text);
        self.running.send("HUP");
    }

    /// Runs a command that reaches the proxy by its state directory alone.
    pub(crate) fn command(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let state = self.dir.path().join("state");
        output(&[words, &["--state-dir", state.to_str().unwrap()]].concat())
    }

    /// The address at which a tunnel listens, from ports.json, which is written before the line is printed.
    pub(crate) fn address(&self, tunnel: &str) -> Option<SocketAddr> {
        let text = fs::read_to_string(self.dir.path().join("state/ports.json")).unwrap();
        let ports: serde_json::Value = serde_json::from_str(&text).unwrap();
        let listeners = ports["listeners"].as_array().unwrap();
        let found = listeners.iter().find(|listener| listener["tunnel"] == tunnel)?;
        Some(found["address"].as_str().unwrap().parse().unwrap())
    }
}

/// A `[[tunnel]]` on any port.
pub(crate) fn tunnel(name: &str, more: &str) -> String {
    format!("[[tunnel]]\nname = '{name}'\nlisten = ['127.0.0.1:0']\n{more}\n")
}
