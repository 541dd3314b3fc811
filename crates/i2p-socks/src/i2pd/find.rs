//! Where an installed i2pd is. A program that another user could replace is not started: the proxy may run as root, and its i2pd sees
//! what its clients visit.

use std::{
    env, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Where packages put it. Services and some users do not have all of these in PATH.
const DIRECTORIES: [&str; 4] = ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"];

/// Why a program is not started, as a part of a sentence after its path.
type Fault = String;

/// Finds the program: the configured one, or the first in PATH and in the directories of packages. Links are followed.
///
/// # Errors
/// What is wrong, in a sentence without a full stop.
pub(crate) fn find(configured: Option<&Path>) -> Result<PathBuf, String> {
    match configured {
        Some(program) => checked(program).map_err(|fault| format!("{} {fault}", program.display())),
        None => {
            let path = env::var_os("PATH").unwrap_or_default();
            let places = env::split_paths(&path).chain(DIRECTORIES.map(PathBuf::from));
            search(places)
        }
    }
}

fn search(places: impl Iterator<Item = PathBuf>) -> Result<PathBuf, String> {
    let mut refused = None;
    // An empty or relative part of PATH would mean a place that depends on where the proxy was started.
    for file in places.filter(|place| place.is_absolute()).map(|place| place.join("i2pd")) {
        match checked(&file) {
            Ok(program) => return Ok(program),
            Err(fault) if file.exists() => {
                refused.get_or_insert_with(|| format!("{} {fault}", file.display()));
            }
            Err(_) => {}
        }
    }
    Err(refused.unwrap_or_else(|| {
        format!("no i2pd is installed: there is none in PATH or in {}", DIRECTORIES.join(", "))
    }))
}

/// The file that the program is, if it can be run and no other user can replace it.
fn checked(program: &Path) -> Result<PathBuf, Fault> {
    if !program.is_absolute() {
        return Err("is not an absolute path".to_owned());
    }
    let missing = |error: io::Error| format!("cannot be run: {error}");
    let file = fs::canonicalize(program).map_err(missing)?;
    let found = fs::metadata(&file).map_err(missing)?;
    if !found.is_file() || found.mode() & 0o111 == 0 {
        return Err("is not a program that can be run".to_owned());
    }
    // The way there, with its links, counts as well as the file.
    for place in program.ancestors().chain(file.ancestors()) {
        if can_be_replaced(place).map_err(missing)? {
            return Err(format!("is not started, because other users can write to {}", place.display()));
        }
    }
    Ok(file)
}

/// Whether a user other than this one and root can write to a file, or put another one in its place.
fn can_be_replaced(place: &Path) -> io::Result<bool> {
    /// Only owners can remove files from a directory with this bit.
    const STICKY: u32 = 0o1000;
    let found = fs::symlink_metadata(place)?;
    let owner = found.uid();
    let is_foreign =
        owner != 0 && owner != rustix::process::geteuid().as_raw() && Some(owner) != hidden_root();
    let is_open = !found.is_symlink() && found.mode() & 0o022 != 0 && found.mode() & STICKY == 0;
    Ok(is_foreign || is_open)
}

/// The user whom root looks like in a user namespace in which root has no number.
fn hidden_root() -> Option<u32> {
    /// A namespace in which every user has its own number, see user_namespaces(7).
    const ALL_USERS: [&str; 3] = ["0", "0", "4294967295"];
    let users = fs::read_to_string("/proc/self/uid_map").ok()?;
    let is_first = users.split_whitespace().eq(ALL_USERS);
    if is_first { None } else { fs::read_to_string("/proc/sys/kernel/overflowuid").ok()?.trim().parse().ok() }
}

/// The certificates that come with i2pd. It checks the signatures of reseed files with them.
pub(super) fn certificates(program: &Path) -> Option<PathBuf> {
    let prefix = program.parent().and_then(Path::parent);
    let beside = prefix.map(|prefix| prefix.join("share/i2pd/certificates"));
    let packaged = ["/usr/share/i2pd/certificates", "/var/lib/i2pd/certificates"].map(PathBuf::from);
    beside.into_iter().chain(packaged).find(|directory| directory.join("reseed").is_dir())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn set_mode(file: &Path, mode: u32) {
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A directory with an i2pd that can be run.
    fn installed() -> (tempfile::TempDir, PathBuf) {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("i2pd");
        fs::write(&file, "").unwrap();
        set_mode(&file, 0o755);
        (temp, file)
    }

    #[test]
    fn a_configured_program_is_used_if_it_can_be_run_and_no_other() {
        let (temp, file) = installed();
        assert_eq!(find(Some(&file)), Ok(fs::canonicalize(&file).unwrap()));
        set_mode(&file, 0o644);
        assert!(find(Some(&file)).unwrap_err().ends_with("is not a program that can be run"));
        assert!(find(Some(temp.path())).unwrap_err().ends_with("is not a program that can be run"));
        fs::remove_file(&file).unwrap();
        assert!(find(Some(&file)).unwrap_err().contains("cannot be run: No such file"));
        assert_eq!(find(Some(Path::new("i2pd"))).unwrap_err(), "i2pd is not an absolute path");
    }

    #[test]
    fn a_program_that_other_users_can_replace_is_not_started() {
        let (temp, file) = installed();
        for (place, mode) in
            [(file.as_path(), 0o775), (&file, 0o757), (temp.path(), 0o775), (temp.path(), 0o707)]
        {
            let before = fs::metadata(place).unwrap().permissions();
            set_mode(place, mode);
            let why = find(Some(&file)).unwrap_err();
            assert!(why.ends_with(&format!("other users can write to {}", place.display())), "{why}");
            fs::set_permissions(place, before).unwrap();
        }
        set_mode(temp.path(), 0o1777);
        find(Some(&file)).unwrap();
        // Behind a link that is itself in a safe place.
        set_mode(temp.path(), 0o775);
        let (other, _) = installed();
        let link = other.path().join("link");
        symlink(&file, &link).unwrap();
        assert!(find(Some(&link)).unwrap_err().contains("other users can write to"));
    }

    #[test]
    fn a_search_passes_over_what_cannot_be_trusted_and_says_so_if_there_is_no_other() {
        let ((open, _), (safe, file)) = (installed(), installed());
        set_mode(open.path(), 0o777);
        let places = [PathBuf::new(), "relative".into(), open.path().to_owned()];
        let why = search(places.clone().into_iter()).unwrap_err();
        assert!(why.starts_with(&open.path().join("i2pd").display().to_string()), "{why}");
        let found = search(places.into_iter().chain([safe.path().to_owned()]));
        assert_eq!(found, Ok(fs::canonicalize(file).unwrap()));
        assert!(search(["/nonexistent".into()].into_iter()).unwrap_err().starts_with("no i2pd is installed"));
    }

    #[test]
    fn certificates_lie_beside_the_program() {
        let temp = tempfile::tempdir().unwrap();
        let certificates_there = temp.path().join("share/i2pd/certificates");
        fs::create_dir_all(certificates_there.join("reseed")).unwrap();
        assert_eq!(certificates(&temp.path().join("bin/i2pd")), Some(certificates_there));
    }
}
