//! `backend = "i2pd"`, with a program of the tests in the place of i2pd. `cargo xtask own-i2pd` does the same with the real one.
#![cfg(target_os = "linux")]

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use i2p_sam::Bridge;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::{JoinSet, block_in_place},
    time::timeout,
};

use crate::common::{
    Running,
    fake_i2pd::{self, Fake, GIVE_UP, VISITED},
    i2p_socks, output,
    processes::{field, has_ended, kill, router_of, until},
};

/// The state directory and the configuration of a proxy, and the i2pd that it starts.
struct Lab(tempfile::TempDir);

impl Lab {
    fn new(fake: Fake) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = fake_i2pd::install(dir.path(), fake);
        let lab = Self(dir);
        lab.configure(&program.display().to_string());
        lab
    }

    /// Writes the configuration, with tunnels that the embedded router would refuse.
    fn configure(&self, i2pd: &str) {
        let text = format!(
            "[router]\ni2pd = '{i2pd}'\nnetwork-id = 77\n[[tunnel]]\nudp = 'datagram'\nincoming = true\n"
        );
        fs::write(self.0.path().join("config.toml"), text).unwrap();
    }

    /// A file in the directory of i2pd.
    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join("state/i2pd").join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap()
    }

    fn start(&self, router: &[&str]) -> Running {
        let mut command = i2p_socks(&["run", "--listen", "127.0.0.1:0"]);
        command.args(self.options()).args(router).stdin(Stdio::null());
        Running::of(command)
    }

    fn options(&self) -> [String; 4] {
        let at = |name: &str| self.0.path().join(name).display().to_string();
        ["--config".to_owned(), at("config.toml"), "--state-dir".to_owned(), at("state")]
    }

    /// A value of the status.
    fn status(&self, what: &str) -> serde_json::Value {
        let mut command = i2p_socks(&["status", "--json"]);
        let output = command.args(self.options()).output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        report.pointer(what).cloned().unwrap_or_default()
    }

    /// The address of the SAM bridge that i2pd has been told.
    fn sam(&self) -> SocketAddr {
        ([127, 0, 0, 1], fake_i2pd::sam_port(&self.file("i2pd.conf"))).into()
    }
}

/// An address where nobody listens.
fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Exchanges data with a site through the proxy.
async fn is_served(proxy: SocketAddr) {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.write_all(b"\x05\x01\x00\x05\x01\x00\x03\x08echo.i2p\x00\x50").await.unwrap();
    let mut reply = [0; 12];
    stream.read_exact(&mut reply).await.unwrap();
    assert_eq!(reply[..4], [5, 0, 5, 0]);
    stream.write_all(b"echo").await.unwrap();
    stream.read_exact(&mut reply[..4]).await.unwrap();
    assert_eq!(&reply[..4], b"echo");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fake_i2pd_answers_where_its_configuration_says() {
    if fake_i2pd::play_if_told().await {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("i2pd.conf");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    fs::write(&file, format!("[http]\nport = 1\n[sam]\nenabled = true\nport = {port}\n[bob]\nport = 2\n"))
        .unwrap();
    tokio::select! {
        result = fake_i2pd::serve(&file) => panic!("{result:?}"),
        () = async { while Bridge::new(format!("127.0.0.1:{port}")).probe().await.is_err() {} } => {}
    }
}

/// Its SAM bridge answers only the proxy.
#[tokio::test(flavor = "multi_thread")]
async fn a_live_check_beside_it_sends_people_to_status() {
    let lab = Lab::new(Fake::Healthy);
    let mut proxy = lab.start(&["--router", "i2pd"]);
    block_in_place(|| proxy.ready());
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for (backend, expected) in [("auto", Some(0)), ("sam", Some(1))] {
        let mut check = i2p_socks(&["check", "--live", "--router", backend, "--sam", &free]);
        let output = block_in_place(|| check.args(lab.options()).output().unwrap());
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), expected, "{backend}: {said}");
        assert_eq!(said.contains("the running proxy runs a router of its own"), backend == "auto", "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn i2pd_is_started_with_nothing_of_the_proxy_and_ends_with_it() {
    let lab = Lab::new(Fake::Healthy);
    // A program that starts the proxy has left a file open.
    let mut command = Command::new("sh");
    let proxy = i2p_socks(&["run", "--listen", "127.0.0.1:0", "--router", "i2pd", "-v"]);
    command.args(["-c", "exec 9</etc/passwd; exec \"$0\" \"$@\""]).arg(proxy.get_program());
    command.args(proxy.get_args()).args(lab.options()).env("SECRET", "of the proxy").stdin(Stdio::null());
    let mut proxy = Running::of(command);
    let address = block_in_place(|| proxy.ready());
    let said = proxy.said();
    for part in [
        "[1/3] starting i2pd (",
        "[2/3] waiting for the SAM bridge of i2pd",
        "network 77 is a private network",
        "other users of this machine can use the SAM bridge of i2pd",
    ] {
        assert_eq!(said.matches(part).count(), 1, "{part} is not once in {said}");
    }
    assert!(!said.contains("embedded"), "{said}");

    let id = router_of(proxy.id()).unwrap();
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    assert_eq!(field(&status, "NoNewPrivs:"), "1");
    let limits = fs::read_to_string(format!("/proc/{id}/limits")).unwrap();
    assert_eq!(field(&limits, "Max core file size"), "0 0 bytes");
    // PWD is of the shell that the script runs in.
    assert_eq!(lab.read("environment").trim(), "PWD=/");
    // The shell keeps its own at 10 and above.
    let descriptors = lab.read("descriptors");
    let inherited: Vec<_> = descriptors.lines().filter(|number| number.len() == 1).collect();
    assert_eq!(inherited, ["0", "1", "2"]);
    let mode = |name: &str| fs::metadata(lab.file(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("i2pd.conf")), (0o700, 0o600));

    is_served(address).await;
    let kind = lab.status("/own-router/kind");
    assert_eq!((kind, lab.status("/own-router/state")), ("i2pd".into(), "running".into()));
    assert_eq!(lab.status("/own-router/deaths"), 0);
    assert!(!proxy.said().contains(VISITED), "{}", proxy.said());

    // Tunnels that the embedded router would refuse.
    lab.configure("/changed");
    proxy.send("HUP");
    let line = block_in_place(|| proxy.stderr_line("the new configuration was refused"));
    assert!(line.contains("cannot change while the proxy is running"), "{line}");
    let program = lab.0.path().join("i2pd").display().to_string();
    lab.configure(&program);
    proxy.send("HUP");
    block_in_place(|| proxy.stderr_line("the new configuration is in effect"));

    assert_eq!(block_in_place(|| proxy.signal("TERM")), Some(0), "{}", proxy.said());
    assert!(has_ended(id), "i2pd has survived the proxy");
    let said = proxy.said();
    assert!(!said.contains("has closed an I2P session"), "the end is told as a failure: {said}");
}

/// The port is taken while i2pd is down, so that the next one needs another.
#[tokio::test(flavor = "multi_thread")]
async fn i2pd_is_started_again_when_it_dies_and_the_proxy_follows_it_to_another_port() {
    let lab = Lab::new(Fake::Healthy);
    let mut proxy = lab.start(&["--router", "i2pd"]);
    let address = block_in_place(|| proxy.ready());
    let (first, id) = (lab.sam(), router_of(proxy.id()).unwrap());
    // The proxy must not be faster than this test.
    proxy.send("STOP");
    kill("KILL", id);
    let _taken = until("the port is free", || TcpListener::bind(first).ok()).await;
    proxy.send("CONT");
    until("another i2pd", || router_of(proxy.id()).filter(|other| *other != id)).await;
    until("it runs", || (lab.status("/own-router/state") == "running").then_some(())).await;
    assert_eq!(lab.status("/own-router/deaths"), 1, "{}", proxy.said());
    assert_ne!(lab.sam(), first);
    is_served(address).await;
    let said = proxy.said();
    assert!(said.contains("i2pd has died: signal 9 ended it"), "{said}");
    assert!(proxy.is_running(), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_i2pd_that_hangs_is_ended_and_started_again() {
    let lab = Lab::new(Fake::Healthy);
    let mut proxy = lab.start(&["--router", "i2pd"]);
    let address = block_in_place(|| proxy.ready());
    kill("STOP", router_of(proxy.id()).unwrap());
    block_in_place(|| proxy.stderr_line("i2pd has died: its SAM bridge has not answered for 60 s"));
    until("it runs", || (lab.status("/own-router/state") == "running").then_some(())).await;
    is_served(address).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i2pd_ends_when_the_proxy_is_killed() {
    let lab = Lab::new(Fake::Healthy);
    let mut proxy = lab.start(&["--router", "i2pd"]);
    block_in_place(|| proxy.ready());
    let id = router_of(proxy.id()).unwrap();
    proxy.send("KILL");
    block_in_place(|| proxy.ended("KILL"));
    // Without the kernel's help, it would end when it next writes to its log.
    let ended = until("i2pd is an orphan", || has_ended(id).then_some(()));
    timeout(Duration::from_secs(10), ended).await.expect("i2pd has survived the proxy");
}

/// An i2pd that takes no notice of the signal is waited for during 5 s, unless there is a second one.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_proxy_at_once_whatever_i2pd_does() {
    for (fake, begun, says) in [
        (
            Fake::Lingers,
            "building I2P tunnels",
            "waiting until the router has ended; a second signal ends it at once",
        ),
        (Fake::Mute, "waiting for the SAM bridge of i2pd", "a router that is being started ends first"),
    ] {
        let lab = Lab::new(fake);
        let mut proxy = lab.start(&["--router", "i2pd"]);
        block_in_place(|| {
            proxy.stderr_line(begun);
            if fake == Fake::Lingers {
                proxy.ready();
            }
        });
        let id = until("i2pd runs", || router_of(proxy.id())).await;
        proxy.send("INT");
        block_in_place(|| proxy.stderr_line(says));
        let begin = Instant::now();
        assert_eq!(block_in_place(|| proxy.signal("INT")), Some(0), "{}", proxy.said());
        assert!(begin.elapsed() < Duration::from_secs(3), "{:?}: {}", begin.elapsed(), proxy.said());
        until("i2pd has ended", || has_ended(id).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_proxy_does_not_start_i2pd_in_the_same_directory() {
    let lab = Lab::new(Fake::Healthy);
    let mut proxy = lab.start(&["--router", "i2pd"]);
    block_in_place(|| proxy.ready());
    let before = lab.sam();
    let mut second = lab.start(&["--router", "i2pd"]);
    block_in_place(|| {
        second.stderr_line("another i2p-socks is running with it. The router that the proxy starts")
    });
    assert_eq!(lab.sam(), before, "the configuration was overwritten");
}

/// It could start none of its own, so it looks once, and waits for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_proxy_that_finds_no_bridge_ends_at_once_and_starts_nothing() {
    let lab = Lab::new(Fake::Healthy);
    let free = nobody();
    let mut proxy = lab.start(&["--router", "i2pd"]);
    block_in_place(|| proxy.ready());
    let before = lab.sam();
    let begin = Instant::now();
    let stderr = block_in_place(|| {
        error(&lab, 1, &["run", "--router", "auto", "--sam", &free, "--listen", "127.0.0.1:0"])
    });
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}: {stderr}", begin.elapsed());
    for part in
        ["no SAM bridge answers at", "no router of the proxy's own is started", "choose another directory"]
    {
        assert!(stderr.contains(part), "{part} is not in {stderr}");
    }
    for part in ["trying for", "starting"] {
        assert!(!stderr.contains(part), "{part} is in {stderr}");
    }
    assert_eq!(lab.sam(), before, "the configuration was overwritten");
    // A bridge that answers serves it, as before.
    let bridge = sam_testkit::TestBridge::start().await;
    let mut second = lab.start(&["--router", "auto", "--sam", &bridge.address()]);
    block_in_place(|| second.ready());
}

#[tokio::test(flavor = "multi_thread")]
async fn auto_prefers_an_installed_i2pd_to_the_embedded_router() {
    let lab = Lab::new(Fake::Healthy);
    let free = nobody();
    let mut proxy = lab.start(&["--router", "auto", "--sam", &free]);
    block_in_place(|| proxy.ready());
    let said = proxy.said();
    for part in ["trying for 5 s before i2pd (", "; starting i2pd (", "[1/3] starting i2pd ("] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert_eq!(lab.status("/own-router/kind"), "i2pd");
    let program = format!("router.i2pd={}", lab.0.path().join("i2pd").display());
    let (code, _, stderr) = output(&["check", "--live", "--sam", &free, "-o", &program]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("run would start i2pd ("), "{stderr}");
}

/// Runs a command to its end, which is an error of this code. Returns what it says.
fn error(lab: &Lab, code: i32, words: &[&str]) -> String {
    let result = i2p_socks(words).args(lab.options()).output().unwrap();
    let stderr = String::from_utf8(result.stderr).unwrap();
    assert_eq!(result.status.code(), Some(code), "{stderr}");
    stderr
}

#[test]
fn a_missing_i2pd_is_an_error_that_says_what_to_do() {
    let lab = Lab::new(Fake::Healthy);
    lab.configure("/nonexistent/i2pd");
    for (command, code) in
        [(&["run", "--listen", "127.0.0.1:0"][..], 1), (&["check"], 64), (&["check", "--live"], 64)]
    {
        let stderr = error(&lab, code, &[command, &["--router", "i2pd"]].concat());
        for part in [
            "/nonexistent/i2pd cannot be run: No such file",
            "Without a router, nothing in I2P can be reached",
            "Install i2pd",
        ] {
            assert!(stderr.contains(part), "{part} is not in {stderr}");
        }
    }
}

/// It would take minutes, ask servers on the internet, and end with the command.
#[test]
fn a_command_starts_no_router_that_it_is_not_told_to_start() {
    let lab = Lab::new(Fake::Healthy);
    let free = nobody();
    for command in [&["connect", "echo.i2p"][..], &["connect", "--udp", "echo.i2p"], &["listen"]] {
        let stderr = error(&lab, 1, &[command, &["--sam", &free]].concat());
        let first = stderr.lines().next().unwrap();
        assert!(first.contains("no proxy is running with the state directory"), "{stderr}");
        assert!(first.contains("opens I2P sessions of its own"), "{stderr}");
        for part in
            ["starts no router unless you name it", "Start i2p-socks run", "--router i2pd", "--sam HOST"]
        {
            assert!(stderr.contains(part), "{part} is not in {stderr}");
        }
        assert!(!stderr.contains("Start i2pd"), "one advice is enough: {stderr}");
        assert!(!lab.0.path().join("environment").exists(), "it was started");
    }
    let mut command = i2p_socks(&["listen", "--router", "i2pd"]);
    command.args(lab.options()).stdin(Stdio::null());
    Running::of(command).stderr_line("starting i2pd (");
}

#[test]
fn an_i2pd_that_other_users_can_replace_is_not_started() {
    let lab = Lab::new(Fake::Healthy);
    fs::set_permissions(lab.0.path().join("i2pd"), fs::Permissions::from_mode(0o777)).unwrap();
    let stderr = error(&lab, 1, &["run", "--listen", "127.0.0.1:0", "--router", "i2pd"]);
    assert!(stderr.contains("is not started, because other users can write to"), "{stderr}");
    assert!(!lab.0.path().join("environment").exists(), "it was started");
}

#[test]
fn an_i2pd_that_dies_at_its_start_is_an_error_with_its_last_words() {
    let lab = Lab::new(Fake::Dies);
    let stderr = error(&lab, 1, &["run", "--listen", "127.0.0.1:0", "--router", "i2pd"]);
    for part in [
        "did not start 3 times in a row, the last time because it ended with code 3",
        "The last line that it wrote: 12:00:00@1/error - the disk is full.",
        "Without a router, nothing in I2P can be reached",
    ] {
        assert!(stderr.contains(part), "{part} is not in {stderr}");
    }
}

#[test]
fn an_i2pd_that_never_opens_its_bridge_is_an_error() {
    let lab = Lab::new(Fake::Mute);
    let stderr = error(&lab, 1, &["run", "--listen", "127.0.0.1:0", "--router", "i2pd"]);
    assert!(stderr.contains("its SAM bridge did not answer within 60 s"), "{stderr}");
}

/// The other program answers like a SAM bridge, as that of another user would who wants to see what the proxy does.
#[test]
fn a_bridge_of_another_program_at_the_port_is_not_spoken_to() {
    let lab = Lab::new(Fake::Robbed);
    lab.start(&["--router", "i2pd"]).stderr_line("other programs take the ports");
    assert!(!lab.file("connected").exists(), "the proxy has connected to it");
}

/// The i2pd of the proxy goes on, but no longer has its port.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_said_to_a_program_that_takes_the_port_later() {
    let lab = Lab::new(Fake::Healthy);
    let mut proxy = lab.start(&["--router", "i2pd"]);
    let address = block_in_place(|| proxy.ready());
    is_served(address).await;
    fs::write(lab.file(GIVE_UP), "").unwrap();
    let other = until("the port is free", || TcpListener::bind(lab.sam()).ok()).await;
    other.set_nonblocking(true).unwrap();
    let other = tokio::net::TcpListener::from_std(other).unwrap();
    let mut clients = JoinSet::new();
    let mut visited = 0;
    while visited < 3 {
        // What it has connected before is still i2pd's.
        clients.spawn(async move {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(b"\x05\x01\x00\x05\x01\x00\x03\x08echo.i2p\x00\x50").await.unwrap();
            let _ = client.read_to_end(&mut Vec::new()).await;
        });
        let Ok(connection) = timeout(Duration::from_millis(300), other.accept()).await else { continue };
        let said = timeout(Duration::from_secs(5), connection.unwrap().0.read(&mut [0; 64])).await;
        assert_eq!(said.expect("the proxy hangs up").unwrap_or(0), 0, "the proxy has spoken to it");
        visited += 1;
    }
}

/// `auto` takes what works, unless an i2pd of this proxy has worked before: then the embedded router would be a change that an
/// observer of the network can see.
#[cfg(feature = "embedded")]
#[test]
fn auto_goes_on_to_the_embedded_router_unless_i2pd_has_run_before() {
    let lab = Lab::new(Fake::Dies);
    let free = nobody();
    let reseed = lab.0.path().join("i2pseeds.su3");
    fs::write(&reseed, "not an su3 file").unwrap();
    let reseed = format!("router.reseed-file={}", reseed.display());
    let plain = "tunnel=[{ name = 'default' }]";
    let auto = ["run", "--listen", "127.0.0.1:0", "--sam", &free, "-o", &reseed, "-o", plain];
    let stderr = error(&lab, 1, &auto);
    for part in ["did not start 3 times in a row", "starting the embedded router instead", "as reseed file"] {
        assert!(stderr.contains(part), "{part} is not in {stderr}");
    }

    fs::write(lab.file("router.keys"), "").unwrap();
    let stderr = error(&lab, 1, &auto);
    assert!(stderr.contains("did not start 3 times in a row"), "{stderr}");
    assert!(!stderr.contains("embedded"), "{stderr}");
    lab.configure("/nonexistent");
    let stderr = error(&lab, 1, &auto);
    assert!(stderr.contains("has run i2pd before, so the embedded router is not started"), "{stderr}");
    assert!(!stderr.contains("reseed"), "{stderr}");
}

#[test]
fn the_argument_that_starts_i2pd_does_nothing_by_hand() {
    let result = i2p_socks(&["--i2p-socks-start-i2pd"]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(result.status.code(), Some(64));
    let said = String::from_utf8(result.stderr).unwrap();
    assert!(said.contains("is for a process that i2p-socks starts itself"), "{said}");
    // With the process ID of somebody else.
    let result = i2p_socks(&["--i2p-socks-start-i2pd", "1", "/bin/echo", "started"]).output().unwrap();
    assert_eq!((result.status.code(), result.stdout.as_slice()), (Some(1), &b""[..]));
}
