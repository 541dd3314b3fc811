//! How contained programs behave: streams, files, signals, ends.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Read, Write},
    net::Shutdown,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::ExitStatusExt},
    },
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use i2p_contain::sandbox::Program;
use libtest_mimic::{Failed, Trial};
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Directories, LINK, Orders, REFUSED, check, is_root};

/// The test that root cannot run.
const OF_USERS: &str = "without_user_namespaces_nothing_starts";

pub(crate) fn trials() -> Vec<Trial> {
    type Test = (&'static str, fn() -> Result<(), Failed>);
    let tests: [Test; 18] = [
        ("exit_codes_are_the_programs", exit_codes),
        ("a_program_that_is_not_there_is_named", not_found),
        ("a_socket_as_input_and_output_is_relayed", socket_streams),
        ("a_file_as_output_is_relayed_and_appended_to", file_output),
        ("megabytes_pass_unchanged", megabytes),
        ("signals_reach_the_program", signals),
        ("a_signal_right_after_the_start_is_not_lost", early_signal),
        ("a_signal_ends_what_waits_for_output_to_be_read", stalled_output),
        ("an_interrupt_reaches_the_whole_process_group", interrupt),
        ("children_that_are_left_behind_are_reaped_and_ended", left_behind),
        ("killing_the_process_outside_ends_everything", || killed(0, None)),
        ("killing_the_first_stage_ends_everything", || killed(1, Some(137))),
        ("killing_process_1_ends_everything", || killed(2, Some(137))),
        ("a_private_home_stays_and_a_temporary_one_does_not", homes),
        ("binds_are_writable_only_if_asked", binds),
        ("a_closed_directory_is_empty_where_it_is_shown", closed_directory),
        ("the_link_is_handed_over_and_serves_the_program", link),
        (OF_USERS, no_namespaces),
    ];
    // Root is tried in `root`.
    let tests = tests.into_iter().filter(|(name, _)| !is_root() || *name != OF_USERS);
    tests.map(|(name, test)| Trial::test(format!("contained::{name}"), test)).collect()
}

/// Starts a sandbox, and waits until its program has said that it is ready.
fn start(line: &str) -> Result<(Child, BufReader<std::process::ChildStdout>), Failed> {
    let mut child = Orders::shell(line).command().stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    output.read_line(&mut said)?;
    if said == "ready\n" { Ok((child, output)) } else { Err(format!("{said:?}, {:?}", child.wait()).into()) }
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(number.try_into().unwrap()).unwrap()
}

fn exit_codes() -> Result<(), Failed> {
    for (line, code) in [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)] {
        let output = Orders::shell(line).output()?;
        check(output.status.code() == Some(code), &output)?;
    }
    Ok(())
}

fn not_found() -> Result<(), Failed> {
    for (name, code) in [("/home/nobody/program", 127), ("no-such-program", 127), ("/etc", 126)] {
        let program = Some(Program::Command { name: name.into(), arguments: Vec::new() });
        let output = Orders { program, ..Orders::default() }.output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        check(output.status.code() == Some(code) && errors.contains(name), &output)?;
        check((code == 127) == errors.contains("--ro-bind"), &output)?;
    }
    Ok(())
}

fn socket_streams() -> Result<(), Failed> {
    let (mut ours, theirs) = UnixStream::pair()?;
    let other = OwnedFd::from(theirs.try_clone()?);
    let line = "cat; test -p /dev/stdin && test -p /dev/stdout && echo pipes";
    let mut child = Orders::shell(line).command().stdin(OwnedFd::from(theirs)).stdout(other).spawn()?;
    ours.write_all(b"through\n")?;
    ours.shutdown(Shutdown::Write)?;
    let mut received = String::new();
    ours.read_to_string(&mut received)?;
    let status = child.wait()?;
    check(received == "through\npipes\n" && status.success(), &(received, status))
}

fn file_output() -> Result<(), Failed> {
    let directories = Directories::new();
    let path = directories.write("output", "before\n");
    let file = OpenOptions::new().append(true).open(&path)?;
    let line = "echo first; echo second >> /proc/self/fd/1; cat /proc/self/fd/1 & sleep 0.1; kill $!";
    let status = Orders::shell(line).command().stdin(Stdio::null()).stdout(file).status()?;
    let written = fs::read_to_string(path)?;
    // The program can neither read the file nor cut it off.
    check(written == "before\nfirst\nsecond\n", &(written, status))
}

fn megabytes() -> Result<(), Failed> {
    let directories = Directories::new();
    let bytes: Vec<u8> =
        (0..8_000_000_u32).map(|number| number.to_le_bytes()[usize::from(number % 2 == 0)]).collect();
    fs::write(directories.home().join("input"), &bytes)?;
    let file = File::open(directories.home().join("input"))?;
    let output = Orders::shell("cat").command().stdin(file).output()?;
    check(output.stdout == bytes, &(output.stdout.len(), output.status))
}

fn signals() -> Result<(), Failed> {
    for (signal, code) in [(Signal::TERM, 3), (Signal::HUP, 4), (Signal::USR1, 5)] {
        let line = "trap 'exit 3' TERM; trap 'exit 4' HUP; trap 'exit 5' USR1; echo ready; while :; do sleep 0.01; done";
        let (mut child, _) = start(line)?;
        kill_process(pid(child.id()), signal)?;
        let status = child.wait()?;
        check(status.code() == Some(code), &(signal, status))?;
    }
    Ok(())
}

fn early_signal() -> Result<(), Failed> {
    for _ in 0..5 {
        let output = Orders { terminate: true, ..Orders::shell("exec sleep 5") }.output()?;
        check(output.status.code() == Some(143), &output)?;
    }
    Ok(())
}

fn stalled_output() -> Result<(), Failed> {
    // More than a pipe holds and is read with the first line, and less than two pipes hold.
    let (mut child, _output) = start("echo ready; head -c 100000 /dev/zero")?;
    let started = Instant::now();
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    while !fs::read_to_string(&children)?.is_empty() {
        check(started.elapsed() < Duration::from_secs(20), &"the program has not ended")?;
        thread::sleep(Duration::from_millis(10));
    }
    kill_process(pid(child.id()), Signal::TERM)?;
    while child.try_wait()?.is_none() {
        if started.elapsed() > Duration::from_secs(30) {
            child.kill()?;
            return Err("the signal was lost".into());
        }
        thread::sleep(Duration::from_millis(10));
    }
    let status = child.wait()?;
    check(status.signal() == Some(Signal::TERM.as_raw()), &status)
}

fn interrupt() -> Result<(), Failed> {
    let (mut child, mut output) =
        start("sh -c 'trap \"echo inner; exit\" INT; echo ready; while :; do sleep 0.01; done'; echo after")?;
    kill_process(pid(child.id()), Signal::INT)?;
    let mut said = String::new();
    output.read_to_string(&mut said)?;
    check(said.starts_with("inner\n"), &(said, child.wait()?))
}

fn left_behind() -> Result<(), Failed> {
    let started = Instant::now();
    let line = "(sleep 0.01 &) ; (setsid sleep 1000 &) ; sleep 0.1; ps -o stat= -A | grep -c Z; echo end";
    let output = Orders::shell(line).output()?;
    check(output.stdout == b"0\nend\n" && started.elapsed() < Duration::from_secs(60), &output)
}

/// Kills the process outside, or a descendant of it, and sees that nothing inside holds the output open any more.
fn killed(generation: u32, code: Option<i32>) -> Result<(), Failed> {
    let (mut child, mut output) = start("echo ready; setsid sleep 1000 & sleep 1000")?;
    let mut victim = child.id();
    for _ in 0..generation {
        let children = fs::read_to_string(format!("/proc/{victim}/task/{victim}/children"))?;
        victim = children.split_whitespace().next().ok_or("no child")?.parse()?;
    }
    let started = Instant::now();
    kill_process(pid(victim), Signal::KILL)?;
    output.read_to_end(&mut Vec::new())?;
    let status = child.wait()?;
    check(status.code() == code && started.elapsed() < Duration::from_secs(1), &(status, started.elapsed()))
}

fn homes() -> Result<(), Failed> {
    let directories = Directories::new();
    let line = "cat file 2> /dev/null; echo kept > file; pwd; echo $HOME";
    for (private, second) in [
        (Some(directories.home().to_owned()), "kept\n/home/user\n/home/user\n"),
        (None, "/home/user\n/home/user\n"),
    ] {
        let orders = Orders { private, ..Orders::shell(line) };
        let first = orders.output()?;
        check(first.stdout == b"/home/user\n/home/user\n", &first)?;
        let output = orders.output()?;
        check(output.stdout == second.as_bytes(), &output)?;
    }
    check(fs::read_to_string(directories.home().join("file"))? == "kept\n", &"the file stays")
}

fn binds() -> Result<(), Failed> {
    let directories = Directories::new();
    let (one, other) = (directories.make("one"), directories.make("other"));
    let hidden = directories.write("hidden", "text");
    let file = directories.write("file", "shown");
    let line = format!(
        "cd {home} && cat file; echo x > one/new; echo x > other/new; echo x > file; ls {hidden}; touch /usr/new /new",
        home = directories.home().display(),
        hidden = hidden.display()
    );
    let orders = Orders {
        read_only: vec![one.clone(), file.clone()],
        writable: vec![other.clone()],
        ..Orders::shell(&line)
    };
    let output = orders.output()?;
    check(output.stdout == b"shown", &output)?;
    check(!one.join("new").exists() && other.join("new").exists(), &output)?;
    check(fs::read_to_string(file)? == "shown", &output)
}

fn closed_directory() -> Result<(), Failed> {
    let directories = Directories::new();
    let (shown, closed) = (directories.make("shown"), directories.make("shown/closed"));
    fs::write(closed.join("secret"), "text")?;
    let line = format!(
        "cd {}; cat closed/secret; mv closed elsewhere; rmdir closed; touch closed/new; ls -A closed; echo end",
        shown.display()
    );
    let orders = Orders { writable: vec![shown], closed: vec![closed.clone()], ..Orders::shell(&line) };
    let output = orders.output()?;
    check(output.stdout == b"end\n", &output)?;
    check(fs::read_dir(&closed)?.count() == 1, &"nothing was made there")?;
    let output = Orders { read_only: vec![closed.clone()], closed: vec![closed], ..orders }.output()?;
    check(output.status.code() != Some(0) && output.stdout.is_empty(), &output)
}

fn link() -> Result<(), Failed> {
    let program = Some(Program::Command {
        name: "bash".into(),
        arguments: vec!["-c".into(), "exec 3<>/dev/tcp/127.0.0.1/9040 && cat <&3".into()],
    });
    let orders = Orders { program, ..Orders::default() };
    let output = orders.command().env(LINK, "1").stdin(Stdio::null()).output()?;
    check(output.stdout == b"through the link", &output)
}

fn no_namespaces() -> Result<(), Failed> {
    let starter = Orders::shell("echo started").command();
    let mut command = Command::new("unshare");
    command.args([
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$0\" \"$@\"",
    ]);
    let output = command
        .arg("/proc/self/fd/0")
        .args(starter.get_args())
        .stdin(File::open("/proc/self/exe")?)
        .output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    check(output.status.code() == Some(REFUSED) && output.stdout.is_empty(), &output)?;
    check(errors.contains("user namespace") && errors.contains("sysctl user.max_user_namespaces"), &output)
}
