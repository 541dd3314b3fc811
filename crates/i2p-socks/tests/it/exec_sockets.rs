//! The sockets of `exec` in the state directory: who is served there, and how long they live.

use std::{
    fs::{self, Permissions},
    io::{Read, Write},
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::UnixStream,
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use sam_testkit::{Endpoint, TestBridge};
use serde_json::Value;

use crate::common::{
    LIMIT, Running, i2p_socks, output,
    processes::until,
    reloadable::{Proxy, tunnel},
};

const IN_FORCE: &str = "the new configuration is in effect";

/// The socket of a tunnel.
fn socket(state: &Path, tunnel: &str) -> PathBuf {
    state.join(format!("exec-sockets/{tunnel}.sock"))
}

/// The files in the folder of the sockets, in order.
fn sockets(state: &Path) -> Vec<String> {
    let files = fs::read_dir(state.join("exec-sockets")).unwrap();
    let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Opens a stream as a run. Returns the reply code and the stream.
fn connect(socket: &Path, run: &str, host: &str) -> (u8, UnixStream) {
    let length = |text: &str| u8::try_from(text.len()).unwrap();
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let credentials = [&[5, 1, 2, 1, 3][..], b"run", &[length(run)], run.as_bytes()].concat();
    let request = [&[5, 1, 0, 3, length(host)], host.as_bytes(), &[0, 7]].concat();
    stream.write_all(&[credentials, request].concat()).unwrap();
    let mut answer = [0; 14];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[..5], [5, 2, 1, 0, 5]);
    (answer[5], stream)
}

/// The destination that a host sees of a run.
fn destination(socket: &Path, run: &str) -> String {
    let (code, mut stream) = connect(socket, run, "whoami.i2p");
    assert_eq!(code, 0, "{run}");
    let mut destination = String::new();
    stream.read_to_string(&mut destination).unwrap();
    assert!(destination.len() > 500, "{destination}");
    destination
}

fn ports(state: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(state.join("ports.json")).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_run_is_a_client_of_its_own_without_a_password() {
    let bridge = TestBridge::start().await;
    bridge.host("whoami.i2p", Endpoint::Whoami);
    let users = tempfile::NamedTempFile::new().unwrap();
    let entry = i2p_tunnel::Users::entry("anna", b"secret").unwrap();
    fs::write(users.path(), entry).unwrap();
    let required = format!("auth = 'required'\nusers-file = '{}'", users.path().display());
    let text = tunnel("open", "isolate = []") + &tunnel("closed", &required);
    let mut proxy = Proxy::start(&bridge, &text);
    proxy.running.ready();
    let state = proxy.dir.path().join("state");
    for name in ["open", "closed"] {
        let socket = socket(&state, name);
        let first = destination(&socket, "first");
        assert_ne!(destination(&socket, "second"), first, "{name}");
        assert_eq!(destination(&socket, "first"), first, "{name}");
        assert_eq!(connect(&socket, "first", "unknown.i2p").0, 0xf0, "an extended code");
    }
    let (_, report, _) = proxy.command(&["status", "--json"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    assert!(report["tunnels"].as_array().unwrap().iter().all(|tunnel| tunnel["exec"] == true), "{report}");
    let (_, report, _) = proxy.command(&["status"]);
    assert!(report.contains("\ni2p-socks exec can use tunnel open, closed\n"), "{report}");
}

/// The state directory is one of systemd, which other users can enter.
#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_its_owners_and_lives_as_long_as_its_proxy() {
    let bridge = TestBridge::start().await;
    bridge.host("whoami.i2p", Endpoint::Whoami);
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    fs::create_dir(&state).unwrap();
    for open in [dir.path(), &state] {
        fs::set_permissions(open, Permissions::from_mode(0o755)).unwrap();
    }
    let start = || {
        let address = bridge.address();
        let mut command =
            i2p_socks(&["run", "--router", "sam", "--sam", &address, "--listen", "127.0.0.1:0"]);
        command.env("STATE_DIRECTORY", &state);
        let mut proxy = Running::of(command);
        proxy.ready();
        proxy
    };
    let socket = socket(&state, "default");
    let mut killed = start();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(&state.join("exec-sockets")), mode(&socket)), (0o700, 0o600));
    let listed = ports(&state)["exec"].clone();
    assert_eq!(listed[0]["address"], format!("unix:{}", socket.display()), "{listed}");
    assert_eq!(ports(&state)["listeners"].as_array().unwrap().len(), 1, "it is no listener for others");
    if rustix::process::geteuid().is_root() {
        let tries = "! test -x \"$0\" && ! test -w \"$1\"";
        let mut stranger = Command::new("sh");
        stranger.args(["-c", tries]).arg(state.join("exec-sockets")).arg(&socket).uid(65_534).gid(65_534);
        assert!(stranger.status().unwrap().success(), "another user gets neither there nor in");
    }
    destination(&socket, "first");

    killed.ended_by("KILL");
    assert!(fs::metadata(&socket).unwrap().file_type().is_socket(), "it was left behind");
    assert!(UnixStream::connect(&socket).is_err());
    fs::rename(&socket, state.join("exec-sockets/gone.sock")).unwrap();
    let mut stopped = start();
    assert_eq!(sockets(&state), ["default.sock"], "leftovers are removed");
    destination(&socket, "first");
    assert_eq!(stopped.signal("TERM"), Some(0), "{}", stopped.said());
    assert!(!state.join("exec-sockets").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_brings_and_removes_sockets() {
    let bridge = TestBridge::start().await;
    bridge.host("whoami.i2p", Endpoint::Whoami);
    let unfit = [
        tunnel("http", "protocols = ['http', 'http-connect']"),
        tunnel("persistent", "key = 'persistent'"),
        "[[tunnel]]\nname = 'names'\nlisten = ['dns:127.0.0.1:0']\n".to_owned(),
    ]
    .concat();
    let mut proxy = Proxy::start(&bridge, &(tunnel("a", "") + &unfit));
    proxy.running.ready();
    let state = proxy.dir.path().join("state");
    assert_eq!(sockets(&state), ["a.sock"], "the others serve no programs that are kept apart");
    let first = destination(&socket(&state, "a"), "first");
    let (code, mut open) = connect(&socket(&state, "a"), "first", "echo.i2p");
    assert_eq!(code, 0);
    proxy.reload(&(tunnel("b", "") + &tunnel("a", "isolate = []") + &unfit));
    let line = proxy.running.stderr_line(IN_FORCE);
    assert!(line.contains("kept=4, opened=1, closed=0"), "those of the configuration are counted: {line}");
    assert_eq!(sockets(&state), ["a.sock", "b.sock"]);
    let of_exec = |state: &Path| {
        let listed = ports(state)["exec"].as_array().cloned().unwrap_or_default();
        listed.iter().map(|socket| socket["tunnel"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(of_exec(&state), ["b", "a"], "in the order of the configuration");
    assert_eq!(destination(&socket(&state, "a"), "first"), first, "the same identity");
    proxy.reload(&(tunnel("b", "") + &tunnel("a", "protocols = ['http']")));
    proxy.running.stderr_lines(IN_FORCE, 2);
    // A listener closes in its own task.
    until("a closed listener removes its socket", || (sockets(&state) == ["b.sock"]).then_some(())).await;
    assert_eq!(of_exec(&state), ["b"]);
    open.write_all(b"x").unwrap();
    open.read_exact(&mut [0]).expect("an open stream goes on");
    destination(&socket(&state, "b"), "first");
    let (code, stdout, _) = proxy.command(&["reload"]);
    assert_eq!(code, Some(0));
    assert!(!stdout.contains("exec"), "{stdout}");
}

/// A file in the way costs `exec` and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_cannot_have_the_sockets_serves_everybody_else() {
    let bridge = TestBridge::start().await;
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::write(state.join("exec-sockets"), "precious").unwrap();
    let address = bridge.address();
    let state_dir = state.to_str().unwrap();
    let run =
        ["run", "--router", "sam", "--sam", &address, "--listen", "127.0.0.1:0", "--state-dir", state_dir];
    let mut proxy = Running::start(&run);
    proxy.ready();
    proxy.stderr_line("i2p-socks exec cannot use this proxy");
    assert_eq!(fs::read_to_string(state.join("exec-sockets")).unwrap(), "precious");
    assert!(ports(&state).get("exec").is_none());
    let (code, report, _) = output(&["status", "--state-dir", state_dir]);
    assert!(code == Some(0) && !report.contains("exec"), "{report}");
}
