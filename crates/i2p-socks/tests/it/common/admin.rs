//! Proxies with an admin endpoint, and requests to it.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
};

use sam_testkit::TestBridge;

use super::Running;

/// A proxy with an admin endpoint.
pub(crate) struct Proxy {
    pub(crate) running: Running,
    pub(crate) dir: tempfile::TempDir,
}

impl Proxy {
    /// Starts the proxy with these lines in its configuration, and with an admin endpoint.
    pub(crate) fn start(bridge: &TestBridge, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config.toml");
        let text = format!(
            "[router]\nbackend = 'sam'\nsam = '{}'\nsam-udp = '{}'\n[admin]\nlisten = '127.0.0.1:0'\n\
             [[tunnel]]\nname = 'main'\nlisten = ['127.0.0.1:0']\n{more}",
            bridge.address(),
            bridge.udp_address()
        );
        fs::write(&config, text).unwrap();
        Self { running: start_in(dir.path()), dir }
    }

    /// Adds lines to its configuration.
    pub(crate) fn configure(&self, more: &str) {
        let config = self.dir.path().join("config.toml");
        let text = fs::read_to_string(&config).unwrap() + more;
        fs::write(&config, text).unwrap();
    }

    /// Starts it again after its end.
    pub(crate) fn start_again(&mut self) {
        self.running = start_in(self.dir.path());
    }

    pub(crate) fn state(&self) -> String {
        self.dir.path().join("state").to_str().unwrap().to_owned()
    }

    pub(crate) fn admin(&mut self) -> SocketAddr {
        let line = self.running.stderr_line("status page and metrics: http://");
        let address = line.split("http://").nth(1).unwrap();
        address.split('/').next().unwrap().parse().unwrap()
    }

    pub(crate) fn get(&mut self, path: &str) -> (u16, String) {
        get(self.admin(), path)
    }
}

fn start_in(dir: &Path) -> Running {
    let (config, state) = (dir.join("config.toml"), dir.join("state"));
    Running::start(&["--config", config.to_str().unwrap(), "--state-dir", state.to_str().unwrap()])
}

pub(crate) fn get(admin: SocketAddr, path: &str) -> (u16, String) {
    ask(TcpStream::connect(admin).unwrap(), &format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\n\r\n"))
}

/// Sends a request. Returns the status code and the whole answer, which begins with its head.
pub(crate) fn ask(mut stream: impl Read + Write, request: &str) -> (u16, String) {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap_or("0").parse().unwrap();
    (status, answer)
}

pub(crate) fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}
