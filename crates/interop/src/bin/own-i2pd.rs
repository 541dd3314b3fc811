//! `cargo xtask own-i2pd`: the proxy with `backend = "i2pd"` and the installed i2pd, alone in a namespace without a network.
//!
//! Sessions have tunnels without hops, since there is no router that could be one. `crates/i2p-socks/tests/it/i2pd_backend.rs` tests
//! what the proxy does about an i2pd that fails.

#![forbid(unsafe_code)]

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use lab::{
    namespace::{self, Namespaces},
    signals::signal,
    suite::Suite,
    wait::{Attempt, until},
};
use programs::{Program, Workspace, install_missing};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// This suite. The proxy looks for its i2pd in `/proc`.
const SUITE: Suite = Suite { name: "own-i2pd", namespaces: Namespaces::NetworkAndProcesses };
/// What it runs.
const PROGRAMS: [Program; 3] = [("i2pd", "i2pd"), ("ip", "iproute2"), ("unshare", "util-linux")];

/// How long each step may take.
const LIMIT: Duration = Duration::from_secs(120);

/// An address that nobody has in this network.
const NOBODY: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b32.i2p";

/// Reply codes of SOCKS5, RFC 1928 section 6.
const SUCCEEDED: u8 = 0;
const GENERAL_FAILURE: u8 = 1;
const HOST_UNREACHABLE: u8 = 4;

/// Tunnels that the embedded router would refuse.
const CONFIGURATION: &str = "[router]\nbackend = \"i2pd\"\nnetwork-id = 77\n[session]\nlength = 0\n[[tunnel]]\nudp = \"datagram\"\n\
                             incoming = true\n";

fn main() -> ExitCode {
    SUITE.main(outside, suite)
}

/// Prepares what needs the internet. The rest runs inside, without.
fn outside(workspace: &Workspace) -> Result<()> {
    install_missing(&PROGRAMS, workspace)?;
    workspace.build_proxy()?;
    SUITE.run_inside(workspace, &[])
}

async fn suite(workspace: &Workspace, lab: &Path) -> Result<()> {
    namespace::set_up(&[])?;
    let mut proxy = Proxy::start(&workspace.proxy(), lab).await?;
    let first = proxy.i2pd().context("the proxy has started no i2pd")?;
    // 2.56 and later call themselves i2pd-daemon.
    ensure!(name(first)?.starts_with("i2pd"), "the proxy has started {}", name(first)?);
    proxy.check_ports(first)?;
    let log = proxy.log()?;
    ensure!(log.contains("No reseed servers specified"), "i2pd may ask reseed servers:\n{log}");
    proxy.tells_the_truth().await?;
    ensure!(proxy.associate().await? == SUCCEEDED, "no datagrams:\n{}", proxy.log()?);

    signal(first, "KILL").await?;
    let second = until("another i2pd", LIMIT, async || {
        Ok(match proxy.i2pd().filter(|process| *process != first && proxy.check_ports(*process).is_ok()) {
            Some(process) => Attempt::Done(process),
            None => Attempt::NotYet("there is none".to_owned()),
        })
    })
    .await?;
    proxy.tells_the_truth().await?;
    let log = proxy.log()?;
    ensure!(log.contains("i2pd has died: signal 9 ended it"), "no line about the death:\n{log}");
    ensure!(!log.contains("aaaaaaaa"), "the log names what a client has asked for:\n{log}");

    signal(proxy.process.id().context("the proxy has ended")?, "TERM").await?;
    let status = timeout(LIMIT, proxy.process.wait()).await.context("the proxy does not end")??;
    ensure!(status.success(), "the proxy has ended with {status}");
    ensure!(name(second).is_err(), "i2pd has survived the proxy");
    println!("own-i2pd: i2pd is started, started again and ended by the proxy, and serves it");
    Ok(())
}

/// The proxy. It ends with its stdout.
struct Proxy {
    process: Child,
    _stdout: Lines<BufReader<ChildStdout>>,
    address: SocketAddr,
    lab: PathBuf,
}

impl Proxy {
    /// Starts it, with debugging messages in its log. Returns once it is ready.
    async fn start(program: &Path, lab: &Path) -> Result<Self> {
        fs::write(lab.join("config.toml"), CONFIGURATION)?;
        let mut process = Command::new(program)
            .args(["run", "-v", "--listen", "127.0.0.1:0"])
            .arg("--config")
            .arg(lab.join("config.toml"))
            .arg("--state-dir")
            .arg(lab.join("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(lab.join("log"))?)
            .kill_on_drop(true)
            .spawn()?;
        let mut stdout = BufReader::new(process.stdout.take().context("no stdout")?).lines();
        let line = timeout(LIMIT, stdout.next_line()).await.context("the proxy is not ready")??;
        let log = || fs::read_to_string(lab.join("log")).unwrap_or_default();
        let line = line.with_context(|| format!("the proxy has ended:\n{}", log()))?;
        let address = line.split_whitespace().nth(1).context("no address")?.parse()?;
        Ok(Self { process, _stdout: stdout, address, lab: lab.to_owned() })
    }

    fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.lab.join("log"))?)
    }

    /// The process that it has started.
    fn i2pd(&self) -> Option<u32> {
        let parent = format!("PPid:\t{}\n", self.process.id()?);
        let is_child = |id: &u32| {
            let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
            status.contains(&parent) && !status.contains("State:\tZ")
        };
        let processes = fs::read_dir("/proc").ok()?;
        processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).find(is_child)
    }

    /// Fails unless the SAM bridge is all that other programs of this machine can use.
    fn check_ports(&self, i2pd: u32) -> Result<()> {
        let text = fs::read_to_string(self.lab.join("state/i2pd/i2pd.conf"))?;
        let section = text.split("[sam]").nth(1).context("no section for SAM")?;
        let port: u16 = section
            .lines()
            .find_map(|line| line.strip_prefix("port = "))
            .context("no port for SAM")?
            .parse()?;
        let (tcp, udp) = (ports(i2pd, "tcp", "0A")?, ports(i2pd, "udp", "07")?);
        ensure!(tcp == [port], "i2pd listens on {tcp:?}, and not on {port} alone");
        ensure!(udp == [port - 1], "i2pd takes datagrams at {udp:?}, and not at {} alone", port - 1);
        Ok(())
    }

    /// Asks for a name that nobody has until i2pd serves. Fails if an answer is not true.
    async fn tells_the_truth(&self) -> Result<()> {
        until("an answer about a destination that is not there", LIMIT, async || {
            let mut stream = TcpStream::connect(self.address).await?;
            stream.write_all(&[&[5, 1, 0, 5, 1, 0, 3, 60], NOBODY.as_bytes(), &[0, 80]].concat()).await?;
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).await?;
            match answer[3] {
                HOST_UNREACHABLE => Ok(Attempt::Done(())),
                GENERAL_FAILURE => Ok(Attempt::NotYet("there is no session".to_owned())),
                code => anyhow::bail!("an answer that is not true: {code}"),
            }
        })
        .await
    }

    /// Asks for an association for datagrams. Returns the reply code.
    async fn associate(&self) -> Result<u8> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(&[5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await?;
        Ok(answer[3])
    }
}

/// The name of a process.
fn name(process: u32) -> Result<String> {
    Ok(fs::read_to_string(format!("/proc/{process}/comm"))?.trim().to_owned())
}

/// The ports of 127.0.0.1 at which a process waits, from a table of proc_net(5).
fn ports(process: u32, table: &str, waiting: &str) -> Result<Vec<u16>> {
    let links = fs::read_dir(format!("/proc/{process}/fd"))?;
    let links = links.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()?.to_str().map(str::to_owned));
    let own: Vec<_> = links.collect();
    let table = fs::read_to_string(format!("/proc/{process}/net/{table}"))?;
    let port_in = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let is_own = *state == waiting && own.contains(&format!("socket:[{inode}]"));
        u16::from_str_radix(local.strip_prefix("0100007F:").filter(|_| is_own)?, 16).ok()
    };
    Ok(table.lines().skip(1).filter_map(port_in).collect())
}
