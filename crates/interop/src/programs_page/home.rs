//! What the commands of the page find on their machine: the setup that `docs/ssh.md` shows, keys, a letter.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use lab::{proxy::Proxy, site, sshd::Server};
use programs::Workspace;
use tokio::process::Command;

use super::{BITCOIN, BITCOIN_RELEASE, EXAMPLE_HOST, GREETING, LETTER, torrent};

/// The page with the setup of ssh, whose first block is the configuration.
const SSH_PAGE: &str = "docs/ssh.md";
/// ssh and scp ask the password database for the home directory of their user. These scripts name the one of the command.
const SSH_PROGRAMS: [&str; 2] = ["ssh", "scp"];
/// A repository with one branch, made without a work tree.
const REPOSITORY: &str = "git init --quiet --bare project.git && cd project.git && export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a \
                          GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a && tree=$(git mktree < /dev/null) && \
                          commit=$(git commit-tree \"$tree\" -m first) && git update-ref \"$BRANCH\" \"$commit\"";

/// The machine of the commands.
pub(super) struct Machine<'a> {
    /// The programs that are preferred to those of the system.
    pub(super) programs: PathBuf,
    ssh_configuration: String,
    server: &'a Server,
    state_dir: PathBuf,
    /// The files of the page.
    files: Vec<(&'a str, &'a str)>,
}

impl<'a> Machine<'a> {
    /// Prepares it, with its files in `directory`, and fills the home of `server`.
    pub(super) async fn new(
        workspace: &Workspace,
        directory: &Path,
        proxy: &Proxy,
        server: &'a Server,
        files: Vec<(&'a str, &'a str)>,
    ) -> Result<Self> {
        let programs = directory.join("bin");
        fs::create_dir_all(&programs)?;
        symlink(workspace.proxy(), programs.join("i2p-socks"))?;
        let bitcoin = workspace.target().join("debian").join(BITCOIN_RELEASE).join(BITCOIN.1).join("bin");
        symlink(bitcoin.join(BITCOIN.0), programs.join(BITCOIN.0))?;
        for program in SSH_PROGRAMS {
            let script = format!("#!/bin/sh\nexec /usr/bin/{program} -F \"$HOME/.ssh/config\" \"$@\"\n");
            let file = programs.join(program);
            fs::write(&file, script)?;
            fs::set_permissions(&file, Permissions::from_mode(0o755))?;
        }
        fs::write(server.home().join("greeting"), GREETING)?;
        let mut make = Command::new("sh");
        make.args(["-c", REPOSITORY]).env("BRANCH", site::BRANCH).current_dir(server.home());
        let made = make.output().await?;
        ensure!(made.status.success(), "no repository: {}", String::from_utf8_lossy(&made.stderr));
        let page = fs::read_to_string(workspace.root().join(SSH_PAGE))?;
        let ssh_configuration = page.split("```").nth(1).context("the page of ssh has no block")?.to_owned();
        Ok(Self { programs, ssh_configuration, server, state_dir: proxy.state_dir().to_owned(), files })
    }

    /// Makes the home of a command that connects to `host`.
    pub(super) fn make_home(&self, home: &Path, host: &str) -> Result<()> {
        let _from_an_earlier_attempt = fs::remove_dir_all(home);
        fs::create_dir_all(home.join(".ssh"))?;
        fs::create_dir_all(home.join(".local/state"))?;
        symlink(&self.state_dir, home.join(".local/state/i2p-socks"))?;
        fs::write(home.join("letter"), LETTER)?;
        fs::write(home.join(torrent::FILE), torrent::torrent(host))?;
        for (name, text) in &self.files {
            let file = home.join(name);
            fs::create_dir_all(file.parent().context("a file without a directory")?)?;
            fs::write(file, text.replace(EXAMPLE_HOST, host))?;
        }
        let known_hosts = home.join(".ssh/known_hosts");
        fs::write(&known_hosts, self.server.known_host(host)?)?;
        let keys = format!(
            "    User root\n    IdentityFile {}\n    UserKnownHostsFile {}\n    BatchMode yes\n",
            self.server.user_key().display(),
            known_hosts.display()
        );
        fs::write(home.join(".ssh/config"), format!("{}{keys}", self.ssh_configuration))?;
        Ok(())
    }
}
