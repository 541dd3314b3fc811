//! Mail and files.

use anyhow::{Result, ensure};

use crate::{
    machine::{Machine, Tunnel, check_record, has},
    recorder::Recorders,
    servers::FILE,
};

/// A program.
struct Row {
    name: &'static str,
    /// Its name in what it sends.
    program: &'static str,
    line: &'static str,
    files: &'static [(&'static str, &'static str)],
    /// What it prints, or what arrives, if it has done its work.
    works: &'static str,
    /// Whether it tells something of itself without filters.
    tells: bool,
}

const ROWS: [Row; 9] = [
    Row {
        name: "msmtp",
        program: "msmtp",
        line: "printf 'From: anon@mail.i2p\\nTo: bob@mail.i2p\\nSubject: the first\\n\\nthe body\\n' | msmtp bob@mail.i2p",
        files: &[(
            ".msmtprc",
            "account default\nhost site.i2p\nport 587\nfrom anon@mail.i2p\ntls off\nauth off\ndomain telltale-host\n",
        )],
        works: "Subject: the first",
        tells: true,
    },
    Row {
        name: "swaks",
        program: "swaks",
        line: "swaks --server site.i2p:587 --from anon@mail.i2p --to bob@mail.i2p --h-Subject 'the second' --body 'the body'",
        files: &[],
        works: "the body",
        tells: true,
    },
    Row {
        name: "smtplib",
        program: "python",
        line: "/usr/bin/python3 $PROGRAMS/send.py",
        files: &[],
        works: "Subject: of smtplib",
        tells: true,
    },
    Row {
        name: "mutt",
        program: "mutt",
        line: "echo the body | mutt -F muttrc -s 'the fourth' bob@mail.i2p",
        files: &[(
            "muttrc",
            "set smtp_url = \"smtp://site.i2p:587/\"\nset from = anon@mail.i2p\nset realname = anon\nset use_envelope_from = yes\nset user_agent = yes\n\
             set copy = no\nset ssl_starttls = no\nset ssl_force_tls = no\n",
        )],
        works: "Subject: the fourth",
        tells: true,
    },
    Row {
        name: "imaplib and poplib",
        program: "python",
        line: "/usr/bin/python3 $PROGRAMS/read.py",
        files: &[],
        works: "pop read it",
        tells: true,
    },
    Row {
        name: "mbsync",
        program: "isync",
        line: "mkdir -p mail && mbsync -c mbsyncrc all && cat mail/INBOX/*/*",
        files: &[(
            "mbsyncrc",
            "IMAPStore far\nHost site.i2p\nUser anon\nPass pw\nSSLType None\nAuthMechs LOGIN\n\nMaildirStore near\nPath ~/mail/\n\
             Inbox ~/mail/INBOX\n\nChannel all\nFar :far:\nNear :near:\nCreate Near\nSyncState *\n",
        )],
        works: "stored",
        tells: false,
    },
    Row {
        name: "curl, by IMAP",
        program: "curl",
        line: "curl -sS --user anon:pw 'imap://site.i2p/INBOX;MAILINDEX=1'",
        files: &[],
        works: "stored",
        tells: false,
    },
    Row {
        name: "lftp",
        program: "lftp",
        line: "lftp -e 'set net:max-retries 1; set net:timeout 10; cat file; bye' ftp://site.i2p",
        files: &[],
        works: FILE,
        tells: true,
    },
    Row {
        name: "curl, by FTP",
        program: "curl",
        line: "curl -sS ftp://site.i2p/file",
        files: &[],
        works: FILE,
        tells: false,
    },
];

pub(crate) async fn check(machine: &Machine, recorders: &Recorders) -> Result<()> {
    for row in &ROWS {
        run(machine, recorders, row, Tunnel::Filtered).await?;
        if row.tells {
            run(machine, recorders, row, Tunnel::Plain).await?;
        }
        println!("ok   {} does its work, and tells nothing", row.name);
    }
    Ok(())
}

async fn run(machine: &Machine, recorders: &Recorders, row: &Row, tunnel: Tunnel) -> Result<()> {
    recorders.take();
    let output = machine.run(tunnel, row.name, row.line, row.files).await?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let record = recorders.take();
    if tunnel == Tunnel::Filtered {
        let works = output.status.success() && (has(&said, row.works) || has(&record, row.works));
        ensure!(works, "{} fails ({}):\n{said}\nwhat has arrived:\n{record}", row.name, output.status);
    }
    check_record(tunnel, row.name, row.program, &record)
}
