//! What is different if root starts a sandbox: the program is another user.

use std::{
    env,
    fs::{self, File, Permissions},
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
    process::{Command, Output, Stdio},
};

use libtest_mimic::{Failed, Trial};
use tempfile::TempDir;

use crate::harness::{Orders, PROGRAM_OF_ROOT, REFUSED, check, is_root};

/// All tests; none unless this is root.
pub(crate) fn trials() -> Vec<Trial> {
    type Test = (&'static str, fn() -> Result<(), Failed>);
    let tests: [Test; 9] = [
        ("its_program_is_another_user_to_the_kernel", another_user),
        ("what_it_shows_is_there_and_what_is_closed_stays_closed", closed_files),
        ("what_it_shows_gets_no_mounts_of_the_sandbox", no_mounts_outside),
        ("a_home_that_somebody_uses_is_refused_and_left", used_homes),
        ("a_working_directory_that_is_closed_is_named", closed_working_directory),
        ("a_program_that_is_roots_alone_is_refused", closed_program),
        ("where_it_cannot_be_another_user_nothing_starts", one_user),
        ("root_by_another_number_is_recognised", renamed_root),
        ("without_user_namespaces_nothing_starts", no_namespaces),
    ];
    let tests = tests.into_iter().filter(|_| is_root());
    tests.map(|(name, test)| Trial::test(format!("root::{name}"), test)).collect()
}

/// A directory that is open to root only.
fn closed_directory() -> Result<TempDir, Failed> {
    let directory = TempDir::with_prefix_in("i2p-contain-", "/var/lib")?;
    fs::set_permissions(directory.path(), Permissions::from_mode(0o700))?;
    Ok(directory)
}

fn is_refused(output: &Output, parts: &[&str]) -> Result<(), Failed> {
    let errors = String::from_utf8_lossy(&output.stderr);
    check(output.status.code() == Some(REFUSED) && output.stdout.is_empty(), &output)?;
    check(parts.iter().all(|part| errors.contains(part)), &errors)
}

fn owner(path: &Path) -> Result<(u32, u32), Failed> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.uid(), metadata.gid()))
}

fn another_user() -> Result<(), Failed> {
    let closed = closed_directory()?;
    let home = closed.path().join("home");
    fs::create_dir(&home)?;
    let orders =
        Orders { private: Some(home.clone()), ..Orders::shell("id -u; id -G; cat file; echo kept > file") };
    let output = orders.output()?;
    check(output.stdout == b"1000\n1000\n", &output)?;
    for path in [home.clone(), home.join("file")] {
        check(owner(&path)? == (PROGRAM_OF_ROOT, PROGRAM_OF_ROOT), &(path.clone(), owner(&path)?))?;
    }
    let output = orders.output()?;
    check(output.stdout == b"1000\n1000\nkept\n", &output)
}

fn closed_files() -> Result<(), Failed> {
    let closed = closed_directory()?;
    let (shown, only_roots) = (closed.path().join("shown"), closed.path().join("only-roots"));
    fs::create_dir(&shown)?;
    fs::write(shown.join("open"), "open\n")?;
    for path in [shown.join("closed"), only_roots.clone()] {
        fs::write(&path, "closed\n")?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    }
    let line = format!("cd {} && cat open closed {}; echo new > new", shown.display(), only_roots.display());
    let output = Orders { writable: vec![shown.clone(), only_roots], ..Orders::shell(&line) }.output()?;
    check(output.stdout == b"open\n" && !shown.join("new").exists(), &output)
}

/// Where systemd runs, every mount tells its copies what is mounted on it.
fn no_mounts_outside() -> Result<(), Failed> {
    let closed = closed_directory()?;
    let starter = Orders {
        writable: vec![closed.path().to_owned()],
        read_only: vec![closed.path().join("inner")],
        ..Orders::shell("echo started")
    };
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation=shared", "sh", "-c"]);
    command.arg("mount -t tmpfs -o mode=755 tmpfs \"$DIR\"; mkdir \"$DIR/inner\"; \"$0\" \"$@\"; grep -c \"$DIR\" /proc/mounts");
    command.env("DIR", closed.path()).arg(env::current_exe()?).args(starter.command().get_args());
    let output = command.stdin(Stdio::null()).output()?;
    check(output.stdout == b"started\n1\n", &output)
}

fn used_homes() -> Result<(), Failed> {
    let closed = closed_directory()?;
    let (full, others) = (closed.path().join("full"), closed.path().join("others"));
    fs::create_dir_all(full.join("something"))?;
    fs::create_dir(&others)?;
    chown(&others, Some(1), Some(1))?;
    for (home, user) in [(full, 0), (others, 1)] {
        let output = Orders { private: Some(home.clone()), ..Orders::shell("echo started") }.output()?;
        is_refused(&output, &["home directory", "65521", "Choose an empty directory"])?;
        check(owner(&home)? == (user, user), &owner(&home)?)?;
    }
    Ok(())
}

fn closed_working_directory() -> Result<(), Failed> {
    let closed = closed_directory()?;
    let orders = Orders { read_only: vec![closed.path().to_owned()], ..Orders::shell("echo started") };
    let output = orders.command().current_dir(closed.path()).stdin(Stdio::null()).output()?;
    is_refused(&output, &["entering", &closed.path().display().to_string()])
}

fn closed_program() -> Result<(), Failed> {
    let closed = closed_directory()?;
    let program = closed.path().join("program");
    // A process of its own: a test that starts one meanwhile would hand the file on, which cannot be executed then.
    let copied = Command::new("cp").arg(env::current_exe()?).arg(&program).status()?;
    check(copied.success(), &copied)?;
    for (mode, refused) in [(0o755, false), (0o700, true)] {
        fs::set_permissions(&program, Permissions::from_mode(mode))?;
        let mut command = Command::new(&program);
        let output =
            command.args(Orders::shell("echo started").command().get_args()).stdin(Stdio::null()).output()?;
        match refused {
            true => is_refused(&output, &["Let all users execute this program"])?,
            false => check(output.stdout == b"started\n", &output)?,
        }
    }
    Ok(())
}

/// Runs a sandbox by another program.
fn run_by(program: &str, arguments: &[&str]) -> Result<Output, Failed> {
    let starter = Orders::shell("echo started").command();
    let mut command = Command::new(program);
    command.args(arguments).arg("/proc/self/fd/0").args(starter.get_args());
    Ok(command.stdin(File::open("/proc/self/exe")?).output()?)
}

fn one_user() -> Result<(), Failed> {
    let output = run_by("unshare", &["--user", "--map-root-user"])?;
    is_refused(&output, &["user namespace: root cannot become", "Start it as another user"])
}

fn renamed_root() -> Result<(), Failed> {
    let inner = ["unshare", "--user", "--map-root-user"];
    let output =
        run_by("unshare", &[&["--user", "--map-user=1000", "--map-group=1000"], &inner[..]].concat())?;
    is_refused(&output, &["user namespace: root cannot become", "Start it as another user"])
}

fn no_namespaces() -> Result<(), Failed> {
    let starter = Orders::shell("echo started").command();
    // Executed again once it has its users, it is root, with all capabilities in the namespace.
    let again = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$0\" \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "sh", "-c", "echo ready; read -r line; exec sh -c \"$AGAIN\" \"$0\" \"$@\""]);
    command.arg(env::current_exe()?).args(starter.get_args()).env("AGAIN", again);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut output = child.stdout.take().unwrap();
    std::io::Read::read_exact(&mut output, &mut [0; 6])?;
    for map in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{}/{map}", child.id()), "0 0 65536")?;
    }
    child.stdin.take().unwrap().write_all(b"go\n")?;
    let output = child.wait_with_output()?;
    is_refused(&output, &["user namespace", "sysctl user.max_user_namespaces"])
}
