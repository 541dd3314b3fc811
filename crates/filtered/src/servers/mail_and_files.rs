//! Servers of mail and files.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
};

use anyhow::Result;
use tokio::process::Child;

use super::{directory, start_server, start_with};
use crate::{machine::USER, services::OFFSET};

/// What a file server has.
pub(crate) const FILE: &str = "the contents of the file";

pub(super) async fn start(lab: &Path, public: &Path) -> Result<Vec<Child>> {
    let mail = directory(public, "mail")?;
    chown(&mail, Some(USER), Some(USER))?;
    fs::write(directory(public, "ftp")?.join("file"), FILE)?;
    // Clients may store files here alone: the server refuses a root directory that they could write to.
    fs::set_permissions(directory(public, "ftp/incoming")?, Permissions::from_mode(0o777))?;
    directory(public, "empty")?;
    let smtp = format!("127.0.0.1:{}", 587 + OFFSET);
    let smtp = ["-n", "-c", "aiosmtpd.handlers.Debugging", "stdout", "-l", &smtp];
    Ok(vec![
        start_server(lab, ("dovecot", "dovecot-imapd"), &dovecot(public), &["-F", "-c"], 143).await?,
        start_server(lab, ("vsftpd", "vsftpd"), &vsftpd(public), &[], 21).await?,
        start_with(lab, ("aiosmtpd", "python3-aiosmtpd"), &smtp, 587).await?,
    ])
}

fn dovecot(public: &Path) -> String {
    let shown = public.display();
    format!(
        "protocols = imap pop3\nlisten = 127.0.0.1\nbase_dir = {shown}/dovecot-run\nstate_dir = {shown}/dovecot-run\n\
         log_path = {shown}/dovecot.txt\nssl = no\n\
         disable_plaintext_auth = no\nmail_location = maildir:{shown}/mail/%u\n\
         passdb {{\n driver = static\n args = password=pw\n}}\n\
         userdb {{\n driver = static\n args = uid={USER} gid={USER} home={shown}/mail/%u\n}}\n\
         service imap-login {{\n inet_listener imap {{\n port = {}\n }}\n inet_listener imaps {{\n port = 0\n }}\n}}\n\
         service pop3-login {{\n inet_listener pop3 {{\n port = {}\n }}\n inet_listener pop3s {{\n port = 0\n }}\n}}\n",
        143 + OFFSET,
        110 + OFFSET
    )
}

/// Data comes from another address than commands: each stream in I2P has its own.
fn vsftpd(public: &Path) -> String {
    let shown = public.display();
    format!(
        "listen=YES\nlisten_address=127.0.0.1\nlisten_port={}\nbackground=NO\nanonymous_enable=YES\nlocal_enable=NO\n\
         anon_root={shown}/ftp\npasv_min_port=20000\npasv_max_port=20019\npasv_promiscuous=YES\nseccomp_sandbox=NO\n\
         ftp_username=ftp\nsecure_chroot_dir={shown}/empty\nconnect_from_port_20=NO\n\
         write_enable=YES\nanon_upload_enable=YES\n",
        21 + OFFSET
    )
}
