//! The servers of Debian packages.

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use lab::server::{command, wait_until_listening};
use programs::Program;
use tokio::process::Child;

use crate::{machine::USER, recorder::OFFSET};

/// What a file server has.
pub(crate) const FILE: &str = "the contents of the file";

/// Running servers. They end when this is dropped.
pub(crate) struct Servers(#[expect(dead_code, reason = "kept, so that they run")] Vec<Child>);

impl Servers {
    /// Starts all of them, with their logs in `lab`, and what other users need in `public`.
    pub(crate) async fn start(lab: &Path, public: &Path) -> Result<Self> {
        let directory = |name: &str| {
            let path = public.join(name);
            fs::create_dir_all(&path).context("no directory for a server")?;
            Ok::<PathBuf, anyhow::Error>(path)
        };
        let mail = directory("mail")?;
        chown(&mail, Some(USER), Some(USER))?;
        fs::write(directory("ftp")?.join("file"), FILE)?;
        directory("empty")?;
        let shown = public.display();
        let irc = format!(
            "[Global]\nName = irc.far.i2p\nInfo = a server\nListen = 127.0.0.1\nPorts = {}\n[Limits]\nMaxConnectionsIP = 0\n\
             [Options]\nIdent = no\nPAM = no\nDNS = no\n",
            6667 + OFFSET
        );
        let mail = format!(
            "protocols = imap pop3\nlisten = 127.0.0.1\nbase_dir = {shown}/dovecot-run\nstate_dir = {shown}/dovecot-run\n\
             log_path = {shown}/dovecot.txt\nssl = no\n\
             disable_plaintext_auth = no\nmail_location = maildir:{shown}/mail/%u\n\
             passdb {{\n driver = static\n args = password=pw\n}}\n\
             userdb {{\n driver = static\n args = uid={USER} gid={USER} home={shown}/mail/%u\n}}\n\
             service imap-login {{\n inet_listener imap {{\n port = {}\n }}\n inet_listener imaps {{\n port = 0\n }}\n}}\n\
             service pop3-login {{\n inet_listener pop3 {{\n port = {}\n }}\n inet_listener pop3s {{\n port = 0\n }}\n}}\n",
            143 + OFFSET,
            110 + OFFSET
        );
        // Data comes from another address than commands: each stream in I2P has its own.
        let ftp = format!(
            "listen=YES\nlisten_address=127.0.0.1\nlisten_port={}\nbackground=NO\nanonymous_enable=YES\nlocal_enable=NO\n\
             anon_root={shown}/ftp\npasv_min_port=20000\npasv_max_port=20019\npasv_promiscuous=YES\nseccomp_sandbox=NO\n\
             ftp_username=ftp\nsecure_chroot_dir={shown}/empty\nconnect_from_port_20=NO\n",
            21 + OFFSET
        );
        let smtp = [
            "-n",
            "-c",
            "aiosmtpd.handlers.Debugging",
            "stdout",
            "-l",
            &format!("127.0.0.1:{}", 587 + OFFSET),
        ];
        Ok(Self(vec![
            start(lab, ("ngircd", "ngircd"), &irc, &["-n", "-f"], 6667).await?,
            start(lab, ("dovecot", "dovecot-imapd"), &mail, &["-F", "-c"], 143).await?,
            start(lab, ("vsftpd", "vsftpd"), &ftp, &[], 21).await?,
            start_with(lab, ("aiosmtpd", "python3-aiosmtpd"), &smtp, 587).await?,
        ]))
    }
}

/// Starts a server with a configuration, whose file is its last argument.
async fn start(
    lab: &Path,
    program: Program,
    configuration: &str,
    options: &[&str],
    port: u16,
) -> Result<Child> {
    let file = lab.join(program.0).with_extension("conf");
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
