//! The servers of Debian packages.

mod chat;
mod mail_and_files;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use lab::server::{command, wait_until_listening};
use programs::Program;
use tokio::process::Child;

pub(crate) use self::{
    chat::{LINKED_IRC, start_linked_irc},
    mail_and_files::FILE,
};
use crate::services::OFFSET;

/// Running servers. They end when this is dropped.
pub(crate) struct Servers(#[expect(dead_code, reason = "kept, so that they run")] Vec<Child>);

impl Servers {
    /// Starts all of them, with their logs in `lab`, and what other users need in `public`.
    pub(crate) async fn start(lab: &Path, public: &Path) -> Result<Self> {
        let (mut servers, of_mail_and_files) =
            tokio::try_join!(chat::start(lab, public), mail_and_files::start(lab, public))?;
        servers.extend(of_mail_and_files);
        Ok(Self(servers))
    }
}

/// Makes a directory in `public`.
fn directory(public: &Path, name: &str) -> Result<PathBuf> {
    let path = public.join(name);
    fs::create_dir_all(&path).context("no directory for a server")?;
    Ok(path)
}

/// Starts a server with a configuration, whose file is its last argument. It listens behind the recorder at this port.
async fn start_server(
    lab: &Path,
    program: Program,
    configuration: &str,
    options: &[&str],
    port: u16,
) -> Result<Child> {
    // Prosody takes no other extension.
    let file = lab.join(format!("{}-{port}.cfg.lua", program.0));
    fs::write(&file, configuration)?;
    let file = file.display().to_string();
    start_with(lab, program, &[options, &[file.as_str()]].concat(), port).await
}

async fn start_with(lab: &Path, program: Program, arguments: &[&str], port: u16) -> Result<Child> {
    let mut child = command(program, lab)?.args(arguments).spawn()?;
    let address = ([127, 0, 0, 1], port + OFFSET).into();
    wait_until_listening(address, &mut child).await.with_context(|| program.0.to_owned())?;
    Ok(child)
}
