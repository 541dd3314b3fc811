//! The machine on which programs run: its name, account and time zone can be told from those of all others.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use i2p_sam::Bridge;
use programs::{Workspace, find};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// The address of the machine.
pub(crate) const ADDRESS: &str = "192.0.2.77";
/// The number of the account.
pub(crate) const USER: u32 = 4321;

/// The filter of each port at which programs find a server.
const FILTERS: [(u16, &str); 6] =
    [(21, "ftp"), (110, "pop3"), (143, "imap"), (587, "smtp"), (5222, "xmpp"), (6667, "irc")];
/// How long the proxy may take to be ready.
const READY_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a program may take. Most take some seconds, and those that chat half a minute.
const TIMEOUT: Duration = Duration::from_secs(120);
/// The account of the machine's owner, and of those whom servers run as.
const ACCOUNTS: &str =
    "root:x:0:0:root:/root:/bin/sh\ntattler:x:4321:4321:Tat Tler,,,:/nonexistent:/bin/sh\n";

/// How a program reaches the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tunnel {
    /// Through the proxy, with a `[[filter]]` for each port.
    Filtered,
    /// Through the proxy, without filters.
    Plain,
    /// Under `exec`, which filters well-known ports without any setting.
    Contained,
}

/// The machine, with a proxy that runs on it.
pub(crate) struct Machine {
    program: PathBuf,
    state: PathBuf,
    public: PathBuf,
    _proxy: Child,
}

impl Machine {
    /// Starts the proxy, with its files in `lab`, and writes the files of the machine into `public`.
    pub(crate) async fn start(
        workspace: &Workspace,
        bridge: &Bridge,
        lab: &Path,
        public: &Path,
    ) -> Result<Self> {
        let file = lab.join("i2p-socks.toml");
        fs::write(&file, configuration())?;
        fs::write(public.join("accounts"), ACCOUNTS)?;
        let sources = workspace.root().join("crates/filtered/programs");
        for source in fs::read_dir(sources)? {
            let source = source?;
            fs::copy(source.path(), public.join(source.file_name()))?;
        }
        // On the machine whose names the leak guard looks for.
        let inside = format!("{} && exec \"$0\" \"$@\"", named(public));
        let (program, state) = (workspace.proxy(), lab.join("state"));
        let mut command = Command::new("unshare");
        command.args(["--mount", "--uts", "sh", "-c", &inside]).arg(&program);
        command.args(["run", "--router", "sam", "--sam", &bridge.address().to_string(), "--config"]);
        command.arg(file).arg("--state-dir").arg(&state).kill_on_drop(true);
        command.stdout(Stdio::piped()).stderr(fs::File::create(lab.join("i2p-socks.log"))?);
        let mut proxy = command.spawn()?;
        let mut lines = BufReader::new(proxy.stdout.take().context("no stdout")?).lines();
        for _ in 0..2 {
            let line =
                timeout(READY_TIMEOUT, lines.next_line()).await.context("the proxy is not ready")??;
            ensure!(line.as_ref().is_some_and(|line| line.ends_with(" ready")), "the proxy wrote {line:?}");
        }
        Ok(Self { program, state, public: public.to_path_buf(), _proxy: proxy })
    }

    /// The home directory of the machine's owner while this program runs.
    pub(crate) fn home(&self, tunnel: Tunnel, name: &str) -> PathBuf {
        self.public.join(format!("home-{}-{tunnel:?}", name.replace([' ', ','], "")))
    }

    /// A program of the suite.
    pub(crate) fn program_file(&self, name: &str) -> PathBuf {
        self.public.join(name)
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
        let home = self.home(tunnel, name);
        write_files(&home, files)?;
        let inside = match tunnel {
            Tunnel::Filtered => self.by_torsocks(&home, 4450)?,
            Tunnel::Plain => self.by_torsocks(&home, 4451)?,
            Tunnel::Contained => self.by_exec(&home),
        };
        let mut command = Command::new("unshare");
        command.args(["--mount", "--uts", "sh", "-c", &inside, line]).stdin(Stdio::null()).kill_on_drop(true);
        timeout(TIMEOUT, command.output())
            .await
            .with_context(|| format!("{name} has not ended"))?
            .context("no unshare")
    }

    /// A line that runs `$0` as the machine's owner, with the variables of a person's shell.
    fn by_torsocks(&self, home: &Path, port: u16) -> Result<String> {
        let torsocks = find("torsocks").context("torsocks is missing")?;
        Ok(format!(
            "{named} && cd {home} && \
             exec setpriv --reuid {USER} --regid {USER} --clear-groups env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin HOME={home} \
             USER=tattler LOGNAME=tattler TZ='<+0545>-5:45' TERM=vt100 LANG=C.UTF-8 PROGRAMS={public} PORT={port} \
             {torsocks} -P {port} /bin/sh -c \"$0\"",
            named = named(&self.public),
            public = self.public.display(),
            home = home.display(),
            torsocks = torsocks.display(),
        ))
    }

    /// A line that runs `$0` under `exec`.
    fn by_exec(&self, home: &Path) -> String {
        format!(
            "{named} && cd {home} && TZ='<+0545>-5:45' exec {program} exec --state-dir {state} --tunnel plain --bind {home} \
             --ro-bind {public} --env PROGRAMS={public} -- /bin/sh -c \"cd {home} && $0\"",
            named = named(&self.public),
            program = self.program.display(),
            state = self.state.display(),
            public = self.public.display(),
            home = home.display(),
        )
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

/// The proxy's configuration.
fn configuration() -> String {
    let tunnels = [("filtered", 4450), ("plain", 4451)]
        .map(|(name, port)| format!("[[tunnel]]\nname = '{name}'\nlisten = '127.0.0.1:{port}'\n"));
    let filters = FILTERS.map(|(port, protocol)| {
        format!("[[filter]]\nport = {port}\ntunnel = 'filtered'\nprotocol = '{protocol}'\n")
    });
    let parts = [
        "[session]\nlength = 0\nquantity = 2\n[admin]\nlisten = '127.0.0.1:4480'\n".to_owned(),
        tunnels.concat(),
        filters.concat(),
    ];
    parts.concat()
}

/// Writes the files of the machine's owner, who alone may read them: mutt and msmtp refuse others.
fn write_files(home: &Path, files: &[(&str, &str)]) -> Result<()> {
    let give = |path: &Path| chown(path, Some(USER), Some(USER)).context("could not give a file away");
    fs::create_dir_all(home)?;
    for (file, contents) in files {
        let path = home.join(file);
        let directory = path.parent().unwrap_or(home);
        fs::create_dir_all(directory)?;
        fs::write(&path, contents)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        give(&path)?;
        give(directory)?;
    }
    give(home)
}

/// The beginning of a command line by which the rest of it runs on a machine with this name and account.
fn named(public: &Path) -> String {
    format!("mount --bind {}/accounts /etc/passwd && hostname telltale-host", public.display())
}
