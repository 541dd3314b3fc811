//! A state directory and a configuration, with commands that run on them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use i2p_name::Destination;
use sam_testkit::TestBridge;
use serde_json::Value;

use super::{Running, output};

/// A directory with the state and the configuration of one proxy.
pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
    bridge: String,
}

impl Place {
    pub(crate) fn new(bridge: &TestBridge) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), bridge: bridge.address() }
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub(crate) fn configure(&self, text: &str) {
        fs::write(self.dir.path().join("i2p-socks.toml"), text).unwrap();
    }

    pub(crate) fn args(&self, words: &[&str]) -> Vec<String> {
        let config = self.dir.path().join("i2p-socks.toml");
        if !config.exists() {
            self.configure("");
        }
        let (state, config) = (self.state(), config);
        let shared = ["--state-dir", text(&state), "--config", text(&config), "--sam", &self.bridge];
        let all = words.iter().chain(&shared).map(|word| (*word).to_owned());
        all.collect()
    }

    pub(crate) fn run(&self) -> Running {
        let args = self.args(&["run", "--router", "sam", "--listen", "127.0.0.1:0"]);
        Running::start(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Runs a command to its end.
    pub(crate) fn command(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let args = self.args(words);
        output(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Runs a command that succeeds. Returns what it prints.
    pub(crate) fn says(&self, words: &[&str]) -> String {
        let (code, stdout, stderr) = self.command(words);
        assert_eq!(code, Some(0), "{words:?}\n{stdout}{stderr}");
        stdout
    }

    /// Runs a command that succeeds and prints nothing on stdout. Returns its remarks on stderr.
    pub(crate) fn remarks(&self, words: &[&str]) -> String {
        let (code, stdout, stderr) = self.command(words);
        assert_eq!((code, stdout.as_str()), (Some(0), ""), "{words:?}\n{stderr}");
        stderr
    }

    pub(crate) fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.says(&[words, &["--json"]].concat())).unwrap()
    }

    /// Runs a command that fails. Returns its error.
    pub(crate) fn fails(&self, words: &[&str]) -> String {
        let (code, stdout, stderr) = self.command(words);
        assert_eq!(code, Some(1), "{words:?}\n{stdout}{stderr}");
        stderr
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub(crate) fn destination(fill: u8) -> Destination {
    Destination::from_bytes([&[fill; 384][..], &[5, 0, 4, 0, 7, 0, 4]].concat()).unwrap()
}
