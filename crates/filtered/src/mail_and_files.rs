//! Mail and files.

use anyhow::{Context, Result, ensure};

use crate::{
    machine::{Machine, Tunnel},
    marks::{self, has},
    recorder::Recorders,
    servers::FILE,
};

/// The services of mail and files.
const PORTS: [u16; 4] = [21, 110, 143, 587];

/// A program.
struct Row {
    name: &'static str,
    /// Its name in what it sends.
    program: &'static str,
    line: &'static str,
    files: &'static [(&'static str, &'static str)],
    /// What it prints, or what arrives, if it has done its work.
    works: &'static str,
    /// What it tells of itself and the machine without filters.
    tells: &'static [&'static str],
}

const ROWS: [Row; 13] = [
    Row {
        name: "msmtp",
        program: "msmtp",
        line: "printf 'From: anon@mail.i2p\\nTo: bob@mail.i2p\\nSubject: the first\\n\\nthe body\\n' | msmtp bob@mail.i2p",
        files: &[(
            ".msmtprc",
            "account default\nhost smtp.i2p\nport 587\nfrom anon@mail.i2p\ntls off\nauth off\ndomain telltale-host\n",
        )],
        works: "Subject: the first",
        tells: &["telltale", "+0545"],
    },
    Row {
        name: "swaks",
        program: "swaks",
        line: "swaks --server smtp.i2p:587 --from anon@mail.i2p --to bob@mail.i2p --h-Subject 'the second' --body 'the body'",
        files: &[],
        works: "the body",
        tells: &["telltale", "+0545", "swaks"],
    },
    Row {
        name: "smtplib",
        program: "python",
        line: "/usr/bin/python3 $PROGRAMS/send.py",
        files: &[],
        works: "Subject: of smtplib",
        tells: &["telltale", "tattler", "+0545"],
    },
    Row {
        name: "mutt",
        program: "mutt",
        line: "echo the body | mutt -F muttrc -s 'the fourth' bob@mail.i2p",
        files: &[(
            "muttrc",
            "set smtp_url = \"smtp://smtp.i2p:587/\"\nset from = anon@mail.i2p\nset realname = anon\nset use_envelope_from = yes\nset user_agent = yes\n\
             set copy = no\nset ssl_starttls = no\nset ssl_force_tls = no\n",
        )],
        works: "Subject: the fourth",
        tells: &["telltale", "+0545", "mutt"],
    },
    Row {
        name: "imaplib and poplib",
        program: "python",
        line: "/usr/bin/python3 $PROGRAMS/read.py",
        files: &[],
        works: "pop read it",
        tells: &["telltale", "tattler", "+0545"],
    },
    Row {
        name: "mutt, by IMAP",
        program: "mutt",
        line: "mkdir Mail; script -qfec \"mutt -F muttrc -f imap://anon:pw@imap.i2p/INBOX -e 'push <pipe-entry>cat\\ >\\ read<enter><quit>'\" /dev/null; \
               cat read",
        files: &[(
            "muttrc",
            "set ssl_starttls = no\nset ssl_force_tls = no\nset wait_key = no\nset quit = yes\nset delete = no\nset imap_authenticators = login\n",
        )],
        works: "stored",
        tells: &[],
    },
    Row {
        name: "mutt, by POP3",
        program: "mutt",
        line: "mkdir Mail; script -qfec \"mutt -F muttrc -f pop://anon:pw@pop.i2p/ -e 'push <pipe-entry>cat\\ >\\ read<enter><quit>'\" /dev/null; \
               cat read",
        files: &[(
            "muttrc",
            "set ssl_starttls = no\nset ssl_force_tls = no\nset wait_key = no\nset quit = yes\nset delete = no\nset pop_authenticators = user\nset pop_delete = no\n",
        )],
        works: "stored",
        tells: &[],
    },
    Row {
        name: "mbsync",
        program: "isync",
        line: "mkdir -p mail && mbsync -c mbsyncrc all && cat mail/INBOX/*/*",
        files: &[(
            "mbsyncrc",
            "IMAPStore far\nHost imap.i2p\nUser anon\nPass pw\nSSLType None\nAuthMechs LOGIN\n\nMaildirStore near\nPath ~/mail/\n\
             Inbox ~/mail/INBOX\n\nChannel all\nFar :far:\nNear :near:\nCreate Near\nSyncState *\n",
        )],
        works: "stored",
        tells: &[],
    },
    Row {
        name: "curl, by IMAP",
        program: "curl",
        line: "curl -sS --user anon:pw 'imap://imap.i2p/INBOX;MAILINDEX=1'",
        files: &[],
        works: "stored",
        tells: &[],
    },
    Row {
        name: "lftp",
        program: "lftp",
        line: "lftp -e 'set net:max-retries 1; set net:timeout 10; cat file; bye' ftp://ftp.i2p",
        files: &[],
        works: FILE,
        tells: &["lftp"],
    },
    Row {
        name: "lftp, which stores",
        program: "lftp",
        line: "echo uploaded > upload && lftp -e 'set net:max-retries 1; set net:timeout 10; put -O incoming upload; bye' ftp://ftp.i2p",
        files: &[],
        works: "uploaded",
        tells: &["lftp"],
    },
    Row {
        name: "curl, which stores",
        program: "curl",
        line: "echo uploaded > notes && curl -sS -T notes ftp://ftp.i2p/incoming/",
        files: &[],
        works: "uploaded",
        tells: &[],
    },
    Row {
        name: "curl, by FTP",
        program: "curl",
        line: "curl -sS ftp://ftp.i2p/file",
        files: &[],
        works: FILE,
        tells: &[],
    },
];

/// Programs under `exec`, where nothing has to be set.
const CONTAINED: [Row; 2] = [
    Row {
        name: "smtplib",
        program: "python",
        line: "/usr/bin/python3 $PROGRAMS/send.py",
        files: &[],
        works: "Subject: of smtplib",
        tells: &[],
    },
    Row {
        name: "lftp",
        program: "lftp",
        line: "lftp -e 'set net:max-retries 3; set net:timeout 60; cat file; bye' ftp://ftp.i2p",
        files: &[],
        works: FILE,
        tells: &[],
    },
];

pub(crate) async fn check(machine: &Machine, recorders: &Recorders) -> Result<()> {
    for row in &ROWS {
        run(machine, recorders, row, Tunnel::Filtered).await?;
        if !row.tells.is_empty() {
            run(machine, recorders, row, Tunnel::Plain).await?;
        }
        println!("ok   {} does its work, and tells nothing", row.name);
    }
    for row in &CONTAINED {
        run(machine, recorders, row, Tunnel::Contained).await?;
        println!("ok   {} does its work under exec, and tells nothing", row.name);
    }
    Ok(())
}

async fn run(machine: &Machine, recorders: &Recorders, row: &Row, tunnel: Tunnel) -> Result<()> {
    let output = machine.run(tunnel, row.name, row.line, row.files).await?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let record = recorders.take(&PORTS, "").await?;
    if tunnel != Tunnel::Plain {
        let works = output.status.success() && (has(&said, row.works) || has(&record, row.works));
        ensure!(works, "{} fails ({}):\n{said}\nwhat has arrived:\n{record}", row.name, output.status);
    }
    marks::check(tunnel, row.program, row.tells, &record).with_context(|| format!("{}, {tunnel:?}", row.name))
}
