//! Contained programs on a terminal.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::fd::OwnedFd,
    process::Child,
    thread::{self, JoinHandle},
};

use i2p_contain::sandbox::{Wall, probes};
use libtest_mimic::{Failed, Trial};
use rustix::{
    pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};

use crate::harness::{Directories, Orders, accomplice, check};

pub(crate) fn trials() -> Vec<Trial> {
    type Test = (&'static str, fn() -> Result<(), Failed>);
    let tests: [Test; 7] = [
        ("keys_and_output_pass_and_the_users_modes_return", keys),
        ("the_size_is_the_users_and_follows_it", size),
        ("an_interrupt_key_interrupts_the_program", interrupt),
        ("a_shell_has_job_control", job_control),
        ("all_walls_hold_on_a_terminal", || hostile(&[], &[])),
        ("without_terminal_input", without_terminal_input),
        ("without_own_terminal", || hostile(&[Wall::Terminal], &["terminal of the user"])),
    ];
    tests.into_iter().map(|(name, test)| Trial::test(format!("terminals::{name}"), test)).collect()
}

const SIZE: Winsize = Winsize { ws_row: 30, ws_col: 90, ws_xpixel: 0, ws_ypixel: 0 };

/// A terminal of a user.
struct Terminal {
    outside: OwnedFd,
    inside: OwnedFd,
}

/// A program on a terminal of a user.
struct Session {
    outside: File,
    inside: OwnedFd,
    child: Child,
}

impl Terminal {
    fn open() -> Result<Self, Failed> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let outside = openpt(flags)?;
        unlockpt(&outside)?;
        let inside = ioctl_tiocgptpeer(&outside, flags)?;
        tcsetwinsize(&outside, SIZE)?;
        Ok(Self { outside, inside })
    }

    fn start(self, orders: Orders) -> Result<Session, Failed> {
        let Self { outside, inside } = self;
        let mut command = Orders { leads_session: true, ..orders }.command();
        let stream = || inside.try_clone();
        let child = command.stdin(stream()?).stdout(stream()?).stderr(stream()?).spawn()?;
        Ok(Session { outside: outside.into(), inside, child })
    }
}

impl Session {
    fn start(orders: Orders) -> Result<Self, Failed> {
        Terminal::open()?.start(orders)
    }

    /// Reads until the terminal shows this.
    fn read_until(&mut self, text: &str) -> Result<String, Failed> {
        let mut shown = Vec::new();
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&shown).contains(text) {
            let count = self.outside.read(&mut buffer)?;
            shown.extend(&buffer[..count]);
        }
        Ok(String::from_utf8_lossy(&shown).into_owned())
    }

    /// Waits for the end, and returns what else was shown.
    fn finish(self) -> Result<(Option<i32>, String), Failed> {
        let Self { mut outside, inside, mut child } = self;
        // Without a reader, the program could not write.
        let reader: JoinHandle<Vec<u8>> = thread::spawn(move || {
            let mut shown = Vec::new();
            // It ends with an error once nobody has the other end.
            let _ = outside.read_to_end(&mut shown);
            shown
        });
        let status = child.wait()?;
        drop(inside);
        let shown = reader.join().map_err(|_| "the reader has panicked")?;
        Ok((status.code(), String::from_utf8_lossy(&shown).into_owned()))
    }
}

fn keys() -> Result<(), Failed> {
    let line = "test -t 0 && test -t 1 && test -t 2 && tty; echo ready; read line; echo \"<$line>\"; exit 5";
    let mut session = Session::start(Orders::shell(line))?;
    let shown = session.read_until("ready\r\n")?;
    check(shown.starts_with("/dev/pts/"), &shown)?;
    let echoes = |session: &Session| {
        tcgetattr(&session.inside).map(|modes| modes.local_modes.contains(LocalModes::ECHO))
    };
    check(!echoes(&session)?, &"the user's terminal leaves the keys to the program's")?;
    session.outside.write_all(b"typed\r")?;
    let shown = session.read_until("<typed>\r\n")?;
    check(shown == "typed\r\n<typed>\r\n", &shown)?;
    session.child.wait()?;
    check(echoes(&session)?, &"the user's terminal has its modes again")?;
    let (code, _) = session.finish()?;
    check(code == Some(5), &code)
}

fn size() -> Result<(), Failed> {
    let line = "trap 'stty size; exit' WINCH; stty size; echo ready; while :; do sleep 0.01; done";
    let mut session = Session::start(Orders::shell(line))?;
    let shown = session.read_until("ready\r\n")?;
    check(shown.starts_with("30 90\r\n"), &shown)?;
    tcsetwinsize(&session.outside, Winsize { ws_row: 40, ws_col: 100, ..SIZE })?;
    let (code, shown) = session.finish()?;
    check(code == Some(0) && shown == "40 100\r\n", &(code, shown))
}

fn interrupt() -> Result<(), Failed> {
    let mut session = Session::start(Orders::shell("echo ready; exec sleep 1000"))?;
    session.read_until("ready\r\n")?;
    session.outside.write_all(b"\x03")?;
    let (code, shown) = session.finish()?;
    check(code == Some(130), &(code, shown))
}

fn job_control() -> Result<(), Failed> {
    let mut orders = Orders::shell("exec bash --norc -i");
    orders.environment = vec![("PS1".into(), "> ".into())];
    let mut session = Session::start(orders)?;
    session.read_until("> ")?;
    // Once it says this, which its command does not, the job is in the foreground.
    session.outside.write_all(b"sh -c 'echo sta\"rt\"ed; exec sleep 1000'\r")?;
    session.read_until("started")?;
    session.outside.write_all(b"\x1a")?;
    session.read_until("Stopped")?;
    session.outside.write_all(b"kill %1; fg; echo done $((40 + 2)); exit 6\r")?;
    session.read_until("done 42")?;
    let (code, shown) = session.finish()?;
    check(code == Some(6), &(code, shown))
}

/// Runs the hostile program on a terminal that it knows.
fn hostile(missing: &[Wall], gets_out: &[&str]) -> Result<(), Failed> {
    let directories = Directories::new();
    let terminal = Terminal::open()?;
    let mut accomplice = accomplice(&directories)?;
    accomplice.set_terminal(&terminal.inside)?;
    let program = Some(probes::program(accomplice.targets()));
    let orders = Orders { missing: missing.to_vec(), program, ..Orders::default() };
    let (_, shown) = terminal.start(orders)?.finish()?;
    // What is typed into the terminal is shown before.
    let printed = shown.find('[').and_then(|start| shown.get(start..)).unwrap_or_default();
    let rows = probes::parse(printed.as_bytes()).map_err(|error| format!("{error}: {shown}"))?;
    let out: Vec<_> = rows.iter().filter(|row| !row.held).collect();
    let tried = rows.iter().any(|row| row.name == "terminal of the user");
    check(tried && out.iter().map(|row| row.name.as_str()).eq(gets_out.iter().copied()), &out)
}

fn without_terminal_input() -> Result<(), Failed> {
    // Newer kernels can forbid it to everybody.
    let allowed =
        fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti").map_or(true, |text| text.trim() == "1");
    let gets_out: &[&str] = if allowed { &["typing into the terminal"] } else { &[] };
    hostile(&[Wall::TerminalInput], gets_out)
}
