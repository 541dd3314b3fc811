//! The hostile program under no walls, under namespaces only, under all walls, and under all but one.

use std::{
    collections::BTreeSet,
    env,
    fs::File,
    io::{Read, pipe},
    net::{Ipv4Addr, TcpStream},
    os::fd::OwnedFd,
    process::{Command, Stdio},
    sync::LazyLock,
};

use i2p_contain::sandbox::{
    Wall,
    probes::{self, Row},
};
use libtest_mimic::{Failed, Trial};

use crate::{
    example,
    harness::{Directories, LINK, Orders, RUN, accomplice, is_root},
};

/// What oniux has: user, network, mount and PID namespaces. The link is there in all.
const NAMESPACES: [Wall; 4] = [Wall::Users, Wall::Network, Wall::Processes, Wall::Link];

/// A wall that is left out, what else the user has allowed, and what gets out then.
struct Breach {
    wall: Wall,
    allow_unix: bool,
    share_home: bool,
    gets_out: &'static [&'static str],
}

const fn breach(wall: Wall, gets_out: &'static [&'static str]) -> Breach {
    Breach { wall, allow_unix: false, share_home: false, gets_out }
}

/// Tries whose outcome without walls depends on the kernel's configuration and on the machine.
const DEPEND_ON_MACHINE: [&str; 5] = [
    "certificates of the machine",
    "network interfaces",
    "other socket families",
    "performance counters",
    "vsock",
];

/// Tries that get out without walls only if root makes them.
const NEED_ROOT: [&str; 8] = [
    "BPF",
    "log of the kernel",
    "network of a process outside",
    "packet socket",
    "private keys of the machine",
    "raw IP socket",
    "root of the machine",
    "settings of the kernel",
];

/// Tries that get out without walls if root starts the tests, also as a user.
const NEED_TESTS_OF_ROOT: [&str; 3] =
    ["files of /run", "services of the machine and the desktop", "Unix socket in /run"];

/// Tries of what only sandboxes have, or only terminals: other tests let them out.
const TRIED_ELSEWHERE: [&str; 4] = [
    "names in the list of mounts",
    "process 1",
    "typing into the terminal",
    "unmounting in another user namespace",
];

/// Whether a try may be held without walls. All others get out, so each can fail.
fn may_be_held(name: &str) -> bool {
    let tests_of_root = is_root() || env::var_os(RUN).is_some();
    DEPEND_ON_MACHINE.contains(&name)
        || (!is_root() && NEED_ROOT.contains(&name))
        || (!tests_of_root && NEED_TESTS_OF_ROOT.contains(&name))
}

/// Tries that root's program may not make at all, with walls or without, since it is another user.
const CLOSED_TO_PROGRAMS_OF_ROOT: [&str; 3] =
    ["private keys of the machine", "signal to a process outside", "standard output"];

const BREACHES: &[Breach] = &[
    breach(
        Wall::Network,
        &[
            "TCP to 127.0.0.1 of the host",
            "TCP Fast Open to the host",
            "UDP to 127.0.0.1 of the host",
            "UDP to the host by sendmmsg",
        ],
    ),
    Breach { allow_unix: true, ..breach(Wall::Network, &["abstract Unix socket"]) },
    breach(Wall::Processes, &["signal to a process outside"]),
    breach(Wall::Ipc, &["System V shared memory"]),
    breach(Wall::HostName, &["host name"]),
    breach(Wall::ControlGroups, &["control group", "control groups of the machine in another namespace"]),
    breach(
        Wall::Files,
        &[
            "a file that a program outside executes",
            "a FIFO that a program outside reads",
            "shared memory in /dev/shm",
            "files of /run",
            "machine-id",
            "boot_id",
            "accounts of the machine",
            "network interfaces",
            "command line of the kernel",
            "devices of the machine",
        ],
    ),
    breach(Wall::Run, &["files of /run"]),
    Breach {
        allow_unix: true,
        ..breach(Wall::Run, &["Unix socket in /run", "services of the machine and the desktop"])
    },
    breach(Wall::Temporary, &["shared memory in /dev/shm"]),
    Breach { allow_unix: true, ..breach(Wall::Temporary, &["Unix socket in /tmp"]) },
    Breach {
        share_home: true,
        ..breach(
            Wall::Home,
            &["a file that a program outside executes", "a FIFO that a program outside reads"],
        )
    },
    Breach {
        share_home: true,
        allow_unix: true,
        ..breach(
            Wall::Home,
            &[
                "Unix socket in the home directory",
                "a descriptor from a process outside",
                "Unix datagram",
                "Unix datagram through a pair",
            ],
        )
    },
    breach(Wall::Devices, &["devices of the machine"]),
    breach(
        Wall::Configuration,
        &[
            "machine-id",
            "accounts of the machine",
            "certificates of the machine",
            "private keys of the machine",
        ],
    ),
    breach(Wall::Proc, &["boot_id", "command line of the kernel", "interrupts of the machine"]),
    breach(Wall::Hardware, &["network interfaces"]),
    breach(Wall::Descriptors, &["a socket that was left open"]),
    breach(Wall::Streams, &["standard input", "standard output"]),
    breach(Wall::Environment, &["telling environment", "time zone"]),
    breach(Wall::CoreDumps, &["core dump handler"]),
    breach(
        Wall::Privileges,
        &["capabilities or setuid programs", "process 1", "unmounting in another user namespace"],
    ),
    breach(Wall::SocketFamilies, &["vsock", "netlink protocols", "modules for other types of sockets"]),
    Breach {
        share_home: true,
        ..breach(
            Wall::UnixSockets,
            &[
                "Unix socket in the home directory",
                "a descriptor from a process outside",
                "Unix datagram",
                "Unix datagram through a pair",
            ],
        )
    },
    breach(Wall::IoUring, &["io_uring"]),
    breach(Wall::Keyrings, &["keyring of the session", "request_key"]),
    breach(Wall::KernelInterfaces, &["performance counters"]),
    #[cfg(target_arch = "x86_64")]
    breach(Wall::OtherAbis, &["i386 system call"]),
];

/// What gets out of all walls if the user shows a directory: what the README says.
const SHOWN: &[(&str, Shown, &[&str])] = &[
    ("a_private_home_tells_its_path_only", Shown::PrivateHome, &["names in the list of mounts"]),
    (
        "a_read_only_directory_lets_fifos_be_written_and_tells_its_path",
        Shown::ReadOnly,
        &["a FIFO that a program outside reads", "names in the list of mounts"],
    ),
];

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        Trial::test("hostile::without_walls_everything_gets_out", without_walls),
        Trial::test("hostile::namespaces_alone_let_sockets_and_the_kernel_out", namespaces_alone),
        Trial::test("hostile::every_wall_but_link_has_a_breach", every_wall_is_tried),
        Trial::test("hostile::the_example_tells_what_another_tool_lets_out", behind_another_tool),
    ];
    trials.push(Trial::test("hostile::a_check_tells_which_walls_hold", check));
    for input in [Input::Pipe, Input::Socket, Input::Directory, Input::File] {
        let name = format!("hostile::all_walls_hold_with_{input:?}_as_input").to_lowercase();
        trials.push(Trial::test(name, move || all_walls(input)));
    }
    let with_unix = || Orders { allow_unix: true, ..Orders::default() };
    trials.push(Trial::test("hostile::all_walls_but_that_against_unix_sockets_hold", move || {
        expect_exactly(with_unix(), Shown::Nothing, Input::Pipe, &[])
    }));
    for (name, shown, gets_out) in SHOWN {
        trials.push(Trial::test(format!("hostile::{name}"), move || {
            expect_exactly(Orders::default(), *shown, Input::Pipe, gets_out)
        }));
    }
    for breach in BREACHES {
        let also = match (breach.allow_unix, breach.share_home) {
            (false, false) => "",
            (true, false) => "_and_unix_sockets_allowed",
            (false, true) => "_and_a_shared_home",
            (true, true) => "_and_unix_sockets_and_a_shared_home",
        };
        let name = format!("hostile::without_{:?}{also}", breach.wall).to_lowercase();
        trials.push(Trial::test(name, move || one_missing(breach)));
    }
    trials
}

/// What standard input is.
#[derive(Clone, Copy, Debug)]
enum Input {
    Pipe,
    Socket,
    Directory,
    File,
}

/// How the program sees the directory that is in the place of a home directory.
#[derive(Clone, Copy, Debug)]
enum Shown {
    Nothing,
    Home,
    PrivateHome,
    ReadOnly,
}

/// Runs the hostile program in a sandbox with these orders, or without one.
fn run_hostile(orders: Option<Orders>, input: Input, shown: Shown) -> Result<Vec<Row>, Failed> {
    let directories = Directories::new();
    let mut accomplice = accomplice(&directories)?;
    let (input_end, _other_end) = pipe()?;
    let (mut output, output_end) = pipe()?;
    accomplice.add_pipe(&input_end)?;
    accomplice.add_pipe(&output_end)?;
    let targets = accomplice.targets();
    let mut command: Command = match orders {
        Some(mut orders) => {
            orders.program = Some(probes::program(targets));
            let home = directories.home().to_owned();
            match shown {
                Shown::Nothing => {}
                Shown::Home => orders.share = Some(home),
                Shown::PrivateHome => orders.private = Some(home),
                Shown::ReadOnly => orders.read_only.push(home),
            }
            let mut command = orders.command();
            if !orders.missing.contains(&Wall::Network) {
                // So that the loopback inside is up.
                command.env(LINK, "1");
            }
            command
        }
        None => probes::without_walls(targets)?,
    };
    let script = directories.write("input", "text");
    let input: Stdio = match input {
        Input::Pipe => input_end.into(),
        Input::Socket => {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, targets.tcp_port()))?;
            OwnedFd::from(stream).into()
        }
        Input::Directory => File::open(directories.home())?.into(),
        Input::File => File::open(script)?.into(),
    };
    let telling =
        [("SSH_CLIENT", "192.0.2.1 1 22"), ("DISPLAY", ":0"), ("LC_ORIGIN", "here"), ("TZ", "Europe/Berlin")];
    let child = command.stdin(input).stdout(output_end).envs(telling).stderr(Stdio::piped()).spawn()?;
    // It has ends of the pipes that would stay open.
    drop(command);
    let mut printed = Vec::new();
    output.read_to_end(&mut printed)?;
    let ended = child.wait_with_output()?;
    probes::parse(&printed).map_err(|error| {
        format!("{error}: {}, {}", ended.status, String::from_utf8_lossy(&ended.stderr)).into()
    })
}

/// The check that users can run: by a process with a home directory, which the check leaves as it was.
fn check() -> Result<(), Failed> {
    let directories = Directories::new();
    let shared = &[
        "a file that a program outside executes",
        "a FIFO that a program outside reads",
        "names in the list of mounts",
    ];
    for (missing, share, gets_out) in [
        (vec![], false, &[][..]),
        (vec![Wall::HostName, Wall::IoUring], false, &["io_uring", "host name"]),
        (vec![], true, shared.as_slice()),
    ] {
        let share = share.then(|| directories.home().to_owned());
        let orders = Orders { missing, share, check: true, ..Orders::default() };
        let mut command = orders.command();
        command.env(LINK, "1").env("HOME", directories.home()).stdin(Stdio::null());
        let output = command.output()?;
        let rows = probes::parse(&output.stdout).map_err(|error| format!("{error}: {output:?}"))?;
        let out: Vec<_> = rows.iter().filter(|row| !row.held).collect();
        if !out.iter().map(|row| row.name.as_str()).eq(gets_out.iter().copied()) || rows.len() < 45 {
            return Err(format!("{} rows, got out: {out:#?}", rows.len()).into());
        }
        if directories.home().read_dir()?.next().is_some() {
            return Err("the check has left something behind".into());
        }
    }
    Ok(())
}

fn got_out(rows: &[Row]) -> BTreeSet<&str> {
    rows.iter().filter(|row| !row.held).map(|row| row.name.as_str()).collect()
}

/// Fails unless all of `expected` got out, but for what depends on the machine and is held here without walls, too.
fn expect_out(rows: &[Row], expected: &[&str]) -> Result<(), Failed> {
    static WITHOUT_WALLS: LazyLock<Vec<Row>> =
        LazyLock::new(|| run_hostile(None, Input::Socket, Shown::Nothing).expect("the hostile program runs"));
    let possible = got_out(&WITHOUT_WALLS);
    let possible = |name: &&&str| {
        (!may_be_held(name) || possible.contains(**name))
            && !(is_root() && CLOSED_TO_PROGRAMS_OF_ROOT.contains(*name))
    };
    let out = got_out(rows);
    let missing: Vec<_> = expected.iter().filter(possible).filter(|name| !out.contains(**name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let details: Vec<_> = rows.iter().filter(|row| missing.contains(&&row.name.as_str())).collect();
    Err(format!("should have got out: {missing:?}, {details:#?}. Got out: {out:?}").into())
}

fn without_walls() -> Result<(), Failed> {
    let rows = run_hostile(None, Input::Socket, Shown::Nothing)?;
    let expected = |row: &&Row| !may_be_held(&row.name) && !TRIED_ELSEWHERE.contains(&row.name.as_str());
    let held: Vec<_> = rows.iter().filter(expected).filter(|row| row.held).collect();
    if held.is_empty() && rows.len() > 45 {
        Ok(())
    } else {
        Err(format!("{} rows, held: {held:#?}", rows.len()).into())
    }
}

/// What `examples/hostile.rs` prints.
fn behind_another_tool() -> Result<(), Failed> {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    // The home directory of a user that the tests become.
    let directories = Directories::new();
    let rows = |tool: &[String]| -> Result<Vec<Row>, Failed> {
        example::rows_behind(directories.home(), tool).map_err(|error| error.to_string().into())
    };
    expect_out(&rows(&[])?, &["io_uring", "host name", "abstract Unix socket"])?;
    let user = if is_root() { "" } else { "--user --map-root-user " };
    let rows = rows(&words(&format!("unshare {user}--net --uts")))?;
    expect_out(&rows, &["io_uring", "Unix socket in the home directory"])?;
    match got_out(&rows).contains("abstract Unix socket") {
        true => Err("an abstract socket was reached in another network namespace".into()),
        false => Ok(()),
    }
}

fn namespaces_alone() -> Result<(), Failed> {
    let missing = Wall::ALL.into_iter().filter(|wall| !NAMESPACES.contains(wall)).collect();
    let rows = run_hostile(Some(Orders { missing, ..Orders::default() }), Input::Socket, Shown::Nothing)?;
    expect_out(
        &rows,
        &[
            "Unix socket in the home directory",
            "Unix socket in /tmp",
            "Unix socket in /run",
            "a descriptor from a process outside",
            "a file that a program outside executes",
            "a socket that was left open",
            "boot_id",
            "host name",
            "io_uring",
            "keyring of the session",
            "request_key",
            "shared memory in /dev/shm",
            "standard input",
            "telling environment",
            "vsock",
        ],
    )?;
    let held = ["TCP to 127.0.0.1 of the host", "abstract Unix socket", "ptrace of a process outside"];
    let out = got_out(&rows);
    match held.iter().find(|name| out.contains(*name)) {
        Some(name) => Err(format!("{name} got out of namespaces").into()),
        None => Ok(()),
    }
}

fn all_walls(input: Input) -> Result<(), Failed> {
    expect_exactly(Orders::default(), Shown::Nothing, input, &[])
}

/// All walls that these orders leave hold, but for what they cannot promise.
fn expect_exactly(orders: Orders, shown: Shown, input: Input, expected: &[&str]) -> Result<(), Failed> {
    let rows = run_hostile(Some(orders), input, shown)?;
    let out: Vec<_> = rows.iter().filter(|row| !row.held).collect();
    if out.iter().map(|row| row.name.as_str()).eq(expected.iter().copied()) && rows.len() > 45 {
        Ok(())
    } else {
        Err(format!("{} rows, got out: {out:#?}", rows.len()).into())
    }
}

/// What the wall is for gets out.
fn one_missing(breach: &Breach) -> Result<(), Failed> {
    let missing = vec![breach.wall];
    let orders = Orders { missing, allow_unix: breach.allow_unix, ..Orders::default() };
    let shown = if breach.share_home { Shown::Home } else { Shown::Nothing };
    let rows = run_hostile(Some(orders), Input::Socket, shown)?;
    expect_out(&rows, breach.gets_out)
}

fn every_wall_is_tried() -> Result<(), Failed> {
    let tried: BTreeSet<_> = BREACHES.iter().map(|breach| breach.wall).collect();
    // All others rest on user namespaces; the link is another room's. Terminals are tried where there is one.
    let elsewhere = [Wall::Users, Wall::Link, Wall::Terminal, Wall::TerminalInput];
    let missing: Vec<_> =
        Wall::ALL.into_iter().filter(|wall| !tried.contains(wall) && !elsewhere.contains(wall)).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?}").into()) }
}
