//! What root shows to a program, which runs as another user: root opens it, and gives away the private home directory.

use std::{
    fs, io,
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{CWD, Gid, Mode, OFlags, ResolveFlags, Uid, fchown, fstat, openat2},
    process::geteuid,
};

use super::{
    mounts::open_shown,
    plan::Plan,
    refusal::{OrRefuse, Refusal},
    root::FileAction,
    users::UNPRIVILEGED,
    wall::Wall,
};

/// Opens what the plan shows of the user's, with the numbers of the steps. What root may not open like this, such as in a
/// container without privileges, is left to the program's user. At most `count` are opened.
pub(super) fn open(plan: &Plan, count: usize) -> Vec<(usize, OwnedFd)> {
    let opened = plan.files.iter().enumerate().filter_map(|(number, step)| match &step.action {
        FileAction::Bind { source, users: true, .. } => {
            open_shown(Path::new(source)).ok().map(|tree| (number, tree))
        }
        _ => None,
    });
    opened.take(count).collect()
}

/// Gives the private home directory to the program's user, unless it is his.
pub(super) fn give_away_home(plan: &Plan) -> Result<(), Refusal> {
    let Some(path) = &plan.private_home else { return Ok(()) };
    let doing = format!("giving {} to the user {UNPRIVILEGED}", path.display());
    let is_given = give_away(Path::new(path)).or_refuse(Wall::Home, &doing)?;
    if is_given {
        return Ok(());
    }
    let cause = format!(
        "{} is not an empty directory of root's, and does not belong to the user {UNPRIVILEGED}, as whom root's programs run",
        path.display()
    );
    Err(Refusal::because(Wall::Home, cause).advising("Choose an empty directory for the home"))
}

/// Returns whether the directory is the program's user's now. One of others stays as it is, and so does one of root's in
/// which something is.
fn give_away(path: &Path) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)?;
    match fstat(&directory)?.st_uid {
        UNPRIVILEGED => return Ok(true),
        owner if owner != geteuid().as_raw() => return Ok(false),
        _ => {}
    }
    let mut entries = fs::read_dir(format!("/proc/self/fd/{}", directory.as_raw_fd()))?;
    if entries.next().is_some() {
        return Ok(false);
    }
    fchown(&directory, Some(Uid::from_raw(UNPRIVILEGED)), Some(Gid::from_raw(UNPRIVILEGED)))?;
    Ok(true)
}
