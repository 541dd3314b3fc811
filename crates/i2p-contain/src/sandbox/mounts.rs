//! Makes the root directory of a contained program in a mount namespace of its own, step by step as the plan says.

use std::{
    collections::BTreeMap,
    ffi::{CString, OsStr, OsString},
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Write},
    os::{
        fd::OwnedFd,
        unix::{
            ffi::{OsStrExt, OsStringExt},
            fs::{DirBuilderExt, PermissionsExt, symlink},
        },
    },
    path::{Path, PathBuf},
};

use nix::sched::{CloneFlags, unshare};
use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, openat2},
    mount::{
        MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount,
        mount_bind_recursive, mount_change, move_mount, open_tree, unmount,
    },
    process::{chdir, pivot_root},
};

use super::{
    plan::Plan,
    raw,
    refusal::{OrRefuse, Refusal},
    root::{FileAction, FileStep},
    wall::Wall,
};

/// Where the work is done: a directory that every system has, whose contents nobody needs meanwhile.
const SITE: &str = "/tmp";
/// The host's root, while the work is done.
const HOST: &str = "/host";
/// The new root, while the work is done.
const ROOT: &str = "/root";
/// Texts that cover files.
const COVERS: &str = "/covers";

/// Makes the root, and moves this process into it. The host's files are gone then. `opened` has what root has opened
/// for some of the steps.
pub(super) fn enter_root(plan: &Plan, opened: &BTreeMap<usize, OwnedFd>) -> Result<(), Refusal> {
    if !plan.has(Wall::Files) {
        return Ok(());
    }
    open_site().or_refuse(Wall::Files, "making a place for the root directory")?;
    for (number, step) in plan.files.iter().enumerate() {
        let doing = || step.path.display().to_string();
        make(step, opened.get(&number)).map_err(|error| Refusal::new(step.wall, &doing(), &error))?;
    }
    close_site().or_refuse(Wall::Files, "leaving the host's files")
}

/// Makes a mount namespace with a file system in memory as the root, and the host's root below it.
fn open_site() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    mount_memory(Path::new(SITE), 0o755)?;
    fs::create_dir(Path::new(SITE).join("host"))?;
    pivot_root(SITE, format!("{SITE}{HOST}"))?;
    chdir("/")?;
    fs::create_dir(ROOT)?;
    fs::create_dir(COVERS)?;
    mount_memory(Path::new(ROOT), 0o755)
}

/// Lets go of the host's root, and makes the new one the only one, read-only.
fn close_site() -> io::Result<()> {
    unmount(HOST, UnmountFlags::DETACH)?;
    chdir(ROOT)?;
    pivot_root(".", ".")?;
    // The old root is now on top of the new one.
    unmount(".", UnmountFlags::DETACH)?;
    chdir("/")?;
    raw::add_mount_attributes(c"/", libc::MOUNT_ATTR_RDONLY, false)
}

fn make(step: &FileStep, opened: Option<&OwnedFd>) -> io::Result<()> {
    let path = below(ROOT, &step.path);
    check_inside(Path::new(ROOT), &path)?;
    match &step.action {
        FileAction::Directory(mode) => make_directory(&path, *mode),
        FileAction::File(text) => {
            make_parent(&path)?;
            fs::write(&path, text)
        }
        FileAction::Link(target) => {
            make_parent(&path)?;
            symlink(target, &path)
        }
        FileAction::Memory(mode) => {
            make_directory(&path, 0o755)?;
            mount_memory(&path, *mode)
        }
        FileAction::Bind { source, directory, writable, users } => {
            make_target(&path, *directory)?;
            let source = below(HOST, source);
            match opened {
                Some(tree) => attach(tree, &path)?,
                None if *users => attach(&open_shown(&source)?, &path)?,
                None => return bind(&source, &path, *writable),
            }
            restrict(&path, *writable)
        }
        FileAction::Hosts => {
            make_target(&path, true)?;
            Ok(mount_bind_recursive(below(HOST, &step.path), &path)?)
        }
        FileAction::Device => {
            make_target(&path, false)?;
            mount_bind_recursive(below(HOST, &step.path), &path)?;
            add_attributes(&path, libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC)
        }
        FileAction::Pseudoterminals => {
            make_directory(&path, 0o755)?;
            let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
            Ok(mount("devpts", &path, "devpts", flags, c"newinstance,ptmxmode=0666,mode=0620")?)
        }
        FileAction::Processes => {
            make_directory(&path, 0o755)?;
            let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
            Ok(mount("proc", &path, "proc", flags, c"")?)
        }
        FileAction::ReadOnly => {
            mount_bind_recursive(&path, &path)?;
            add_attributes(&path, libc::MOUNT_ATTR_RDONLY)
        }
        FileAction::ReadOnlyMount => {
            raw::add_mount_attributes(&c_string(&path)?, libc::MOUNT_ATTR_RDONLY, false)
        }
        FileAction::Cover(text) => cover(&path, text),
        FileAction::CoverDirectory => {
            if !path.is_dir() {
                return Ok(());
            }
            mount_memory(&path, 0o555)?;
            add_attributes(&path, libc::MOUNT_ATTR_RDONLY)
        }
    }
}

/// Fails if a symbolic link, such as one that a program has left in its home directory, leads out of the new root.
fn check_inside(root: &Path, path: &Path) -> io::Result<()> {
    let real = path.ancestors().find_map(|part| fs::canonicalize(part).ok()).unwrap_or_default();
    if real.starts_with(root) { Ok(()) } else { Err(io::Error::other("a symbolic link leads out")) }
}

/// A path that the program sees, or one of the host, where it is while the work is done.
fn below(place: &str, path: &OsStr) -> PathBuf {
    let mut whole = OsString::from(place);
    whole.push(path);
    whole.into()
}

fn mount_memory(path: &Path, mode: u32) -> io::Result<()> {
    let options = CString::new(format!("mode={mode:o}"))?;
    Ok(mount("tmpfs", path, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, &*options)?)
}

/// Shows `source` at `target`, with everything mounted below: a part of it could be hidden for a reason.
fn bind(source: &Path, target: &Path, writable: bool) -> io::Result<()> {
    mount_bind_recursive(source, target)?;
    restrict(target, writable)
}

/// Opens a path in which no link is followed: one may have been put there since the path was judged.
fn without_links(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    Ok(openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)?)
}

/// Opens what a path without links shows, with everything mounted below, to be attached elsewhere.
pub(super) fn open_shown(path: &Path) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    Ok(open_tree(without_links(path)?, "", flags)?)
}

/// Attaches what was opened.
fn attach(tree: &OwnedFd, target: &Path) -> io::Result<()> {
    move_mount(tree, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    // What is mounted on it must not appear on the host's, which it may be a copy of.
    Ok(mount_change(target, MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?)
}

fn restrict(target: &Path, writable: bool) -> io::Result<()> {
    let read_only = if writable { 0 } else { libc::MOUNT_ATTR_RDONLY };
    add_attributes(target, libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | read_only)
}

fn add_attributes(path: &Path, attributes: u64) -> io::Result<()> {
    raw::add_mount_attributes(&c_string(path)?, attributes, true)
}

fn c_string(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

fn cover(path: &Path, text: &str) -> io::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let mut name = path.as_os_str().as_bytes().to_vec();
    name.iter_mut().filter(|byte| **byte == b'/').for_each(|byte| *byte = b'_');
    let source = Path::new(COVERS).join(OsString::from_vec(name));
    fs::write(&source, text)?;
    fs::set_permissions(&source, Permissions::from_mode(0o444))?;
    bind(&source, path, false)
}

/// Makes what can be mounted on, unless it is there.
fn make_target(path: &Path, directory: bool) -> io::Result<()> {
    if directory {
        return make_directory(path, 0o755);
    }
    if path.exists() {
        return Ok(());
    }
    make_parent(path)?;
    OpenOptions::new().write(true).create_new(true).open(path).and_then(|mut file: File| file.flush())
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| make_directory(parent, 0o755))
}

fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    make_parent(path)?;
    DirBuilder::new().mode(mode).create(path)?;
    // The mask for new files of the user does not hold for this.
    fs::set_permissions(path, Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_link_in_it_is_not_opened() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().canonicalize().unwrap();
        fs::create_dir_all(place.join("real/deep")).unwrap();
        symlink("real", place.join("link")).unwrap();
        assert!(without_links(&place.join("real/deep")).is_ok());
        for path in ["link", "link/deep"] {
            assert!(without_links(&place.join(path)).is_err(), "{path}");
        }
    }

    #[test]
    fn links_that_lead_out_of_the_root_are_found() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap().join("root");
        fs::create_dir_all(root.join("home")).unwrap();
        symlink("home", root.join("inside")).unwrap();
        symlink("/", root.join("home/outside")).unwrap();
        for path in ["home", "home/new", "home/new/deep", "inside/new"] {
            assert!(check_inside(&root, &root.join(path)).is_ok(), "{path}");
        }
        for path in ["home/outside", "home/outside/new", "inside/outside/new", ".."] {
            assert!(check_inside(&root, &root.join(path)).is_err(), "{path}");
        }
    }
}
