//! The machine on which programs run: its name, account and time zone can be told from those of all others.

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use programs::{Workspace, find};
use sam_testkit::{Act, Endpoint, TestBridge};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::recorder::PORTS;

/// The site in I2P with all servers.
pub(crate) const SITE: &str = "site.i2p";
/// The address of the machine.
pub(crate) const ADDRESS: &str = "192.0.2.77";
/// The number of the account.
pub(crate) const USER: u32 = 4321;
/// What tells of the machine in what arrives: its address, parts of its name, of the account, of the name of its owner, and its time zone.
pub(crate) const MARKS: [&str; 6] = [ADDRESS, "telltale", "tattler", "tat tler", "+0545", "+05:45"];

/// How long the proxy may take to be ready.
const READY_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a program may take. Most take a second, and those that chat some 15.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The account of the machine's owner, and of those whom servers run as.
const ACCOUNTS: &str =
    "root:x:0:0:root:/root:/bin/sh\ntattler:x:4321:4321:Tat Tler,,,:/nonexistent:/bin/sh\n";

/// Whether a program's streams are filtered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tunnel {
    Filtered,
    Plain,
}

impl Tunnel {
    fn port(self) -> u16 {
        match self {
            Self::Filtered => 4450,
            Self::Plain => 4451,
        }
    }
}

/// The machine, with a proxy that runs on it.
pub(crate) struct Machine {
    public: PathBuf,
    _bridge: TestBridge,
    _proxy: Child,
}

impl Machine {
    /// Starts the proxy, with its files in `lab`, and writes the files of the machine into `public`.
    pub(crate) async fn start(workspace: &Workspace, lab: &Path, public: &Path) -> Result<Self> {
        let bridge = TestBridge::start().await;
        bridge.host(SITE, Endpoint::Sink);
        bridge.on("STREAM CONNECT", [Act::Dial]);
        let tunnel = |name: &str, tunnel: Tunnel| {
            format!("[[tunnel]]\nname = '{name}'\nlisten = '127.0.0.1:{}'\n", tunnel.port())
        };
        let filters = PORTS.map(|port| {
            let protocol = match port {
                21 => "ftp",
                110 => "pop3",
                143 => "imap",
                587 => "smtp",
                _ => "irc",
            };
            format!("[[filter]]\nport = {port}\ntunnel = 'filtered'\nprotocol = '{protocol}'\n")
        });
        let configuration = [
            tunnel("filtered", Tunnel::Filtered),
            tunnel("plain", Tunnel::Plain),
            filters.concat(),
            "[admin]\nlisten = '127.0.0.1:4480'\n".to_owned(),
        ];
        let file = lab.join("i2p-socks.toml");
        fs::write(&file, configuration.concat())?;
        fs::write(public.join("accounts"), ACCOUNTS)?;
        for program in ["bot.py", "read.py", "send.py"] {
            let source = workspace.root().join("crates/filtered/programs").join(program);
            fs::copy(source, public.join(program))?;
        }
        // On the machine whose names the leak guard looks for.
        let inside = format!("{} && exec \"$0\" \"$@\"", named(public));
        let mut command = Command::new("unshare");
        command.args(["--mount", "--uts", "sh", "-c", &inside]).arg(workspace.proxy());
        command.args(["run", "--router", "sam", "--sam", &bridge.address(), "--config"]).arg(file);
        command.arg("--state-dir").arg(lab.join("state")).kill_on_drop(true);
        command.stdout(Stdio::piped()).stderr(fs::File::create(lab.join("i2p-socks.log"))?);
        let mut proxy = command.spawn()?;
        let mut lines = BufReader::new(proxy.stdout.take().context("no stdout")?).lines();
        for _ in 0..2 {
            let line =
                timeout(READY_TIMEOUT, lines.next_line()).await.context("the proxy is not ready")??;
            ensure!(line.as_ref().is_some_and(|line| line.ends_with(" ready")), "the proxy wrote {line:?}");
        }
        Ok(Self { public: public.to_path_buf(), _bridge: bridge, _proxy: proxy })
    }

    /// Runs a command line of a shell as the machine's owner, whose home directory has these files. `$PROGRAMS` are those of
    /// the suite, and `$PORT` is that of the proxy, which torsocks uses.
    pub(crate) async fn run(
        &self,
        tunnel: Tunnel,
        name: &str,
        line: &str,
        files: &[(&str, &str)],
    ) -> Result<Output> {
        let home = self.public.join(format!("home-{}-{tunnel:?}", name.replace([' ', ','], "")));
        fs::create_dir_all(&home)?;
        for (file, contents) in files {
            let path = home.join(file);
            fs::create_dir_all(path.parent().unwrap_or(&home))?;
            fs::write(&path, contents)?;
            // mutt and msmtp refuse files that others can read.
            chown(&path, Some(USER), Some(USER))?;
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
            chown(path.parent().unwrap_or(&home), Some(USER), Some(USER))?;
        }
        chown(&home, Some(USER), Some(USER))?;
        let torsocks = find("torsocks").context("torsocks is missing")?;
        let inside = format!(
            "{named} && cd {home} && \
             exec setpriv --reuid {USER} --regid {USER} --clear-groups env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin HOME={home} \
             USER=tattler LOGNAME=tattler TZ='<+0545>-5:45' TERM=vt100 LANG=C.UTF-8 PROGRAMS={public} PORT={port} \
             {torsocks} -P {port} /bin/sh -c \"$0\"",
            named = named(&self.public),
            public = self.public.display(),
            home = home.display(),
            torsocks = torsocks.display(),
            port = tunnel.port()
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "--uts", "sh", "-c", &inside, line]).stdin(Stdio::null()).kill_on_drop(true);
        timeout(TIMEOUT, command.output())
            .await
            .with_context(|| format!("{name} has not ended"))?
            .context("no unshare")
    }

    /// Checks that the leak guard has warned of streams without filters, and of no others.
    pub(crate) async fn check_alarms(&self) -> Result<()> {
        let page = Command::new("curl").args(["-sS", "http://127.0.0.1:4480/metrics"]).output().await?;
        let page = String::from_utf8_lossy(&page.stdout);
        let sum = |name: &str, tunnel: &str| -> u64 {
            let of_tunnel =
                |line: &&str| line.starts_with(name) && line.contains(&format!("tunnel=\"{tunnel}\""));
            let values = page
                .lines()
                .filter(of_tunnel)
                .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
            values.sum()
        };
        let [filtered, plain] = ["filtered", "plain"].map(|tunnel| sum("i2p_socks_leaks_total", tunnel));
        ensure!(plain > 0, "the leak guard warns of nothing");
        ensure!(filtered == 0, "the leak guard has warned {filtered} times of what the filters let pass");
        let streams = ["filtered", "plain"].map(|tunnel| sum("i2p_socks_connections_total", tunnel));
        let [of_filtered, of_plain] = streams;
        println!(
            "ok   the leak guard warns {plain} times in {of_plain} connections without filters, and not in {of_filtered} with them"
        );
        Ok(())
    }
}

/// The beginning of a command line by which the rest of it runs on a machine with this name and account.
fn named(public: &Path) -> String {
    format!("mount --bind {}/accounts /etc/passwd && hostname telltale-host", public.display())
}

/// Whether a text has a word, in whatever case.
pub(crate) fn has(text: &str, word: &str) -> bool {
    text.to_ascii_lowercase().contains(&word.to_ascii_lowercase())
}

/// Checks what has arrived: nothing of the machine and the program if it was filtered, and something of it otherwise.
pub(crate) fn check_record(tunnel: Tunnel, name: &str, program: &str, record: &str) -> Result<()> {
    let told: Vec<_> = MARKS.into_iter().chain([program]).filter(|mark| has(record, mark)).collect();
    match tunnel {
        Tunnel::Filtered => ensure!(told.is_empty(), "{name} tells {told:?}:\n{record}"),
        Tunnel::Plain => ensure!(!told.is_empty(), "{name} tells nothing without filters either:\n{record}"),
    }
    Ok(())
}
