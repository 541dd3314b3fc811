//! Programs of other Debian releases, unpacked below the target directory. Nothing is installed.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use crate::{Invocation, Program, Workspace, invocation::quoted};

/// The keys with which Debian signs its releases.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Where packages put their programs.
const PROGRAM_DIRECTORIES: [&str; 4] = ["usr/sbin", "usr/bin", "sbin", "bin"];

/// Unpacks the package of a program from another Debian release, such as `sid`, together with the libraries that it needs, unless
/// that was done before. Returns the directory that contains the program, to be put first into `PATH`.
///
/// It needs apt-get and dpkg, and no root. To get a newer version from the same release, remove `target/debian`.
pub fn unpacked((program, package): Program, release: &str, workspace: &Workspace) -> Result<PathBuf> {
    let directory = workspace.target().join("debian").join(release).join(package);
    fs::create_dir_all(&directory).with_context(|| format!("could not make {}", directory.display()))?;
    // Another step may want the same program.
    let lock = File::create(directory.join("lock")).context("no lock for unpacking")?;
    lock.lock().context("no lock for unpacking")?;
    let place = Place { directory, release, workspace };
    let launcher = place.programs().join(program);
    if !launcher.is_file() {
        place.download(package)?;
        place.unpack()?;
        place.write_launcher(program)?;
    }
    let version = Invocation::new(&launcher, workspace.root()).arg("--version").output();
    let version = version.with_context(|| format!("{program} of Debian {release} does not start"))?;
    println!("of Debian {release}: {}", version.lines().next().unwrap_or_default());
    Ok(place.programs())
}

/// Where a package is unpacked.
struct Place<'a> {
    directory: PathBuf,
    release: &'a str,
    workspace: &'a Workspace,
}

impl Place<'_> {
    fn programs(&self) -> PathBuf {
        self.directory.join("bin")
    }

    fn archives(&self) -> PathBuf {
        self.directory.join("cache").join("archives")
    }

    fn root(&self) -> PathBuf {
        self.directory.join("root")
    }

    /// Downloads the package and all that it depends on. apt-get checks the signatures.
    fn download(&self, package: &str) -> Result<()> {
        for directory in [self.directory.join("state/lists/partial"), self.archives().join("partial")] {
            fs::create_dir_all(&directory)?;
        }
        let sources = format!("deb [signed-by={KEYRING}] {} {} main\n", self.archive()?, self.release);
        fs::write(self.directory.join("sources.list"), sources)?;
        // Nothing is installed there, so that apt-get downloads every dependency.
        fs::write(self.directory.join("state/status"), "")?;
        self.apt_get().arg("update").run()?;
        let install = ["install", "--yes", "--download-only", "--no-install-recommends", package];
        install.into_iter().fold(self.apt_get(), Invocation::arg).run()
    }

    /// apt-get with files of its own.
    fn apt_get(&self) -> Invocation {
        let at = |option: &str, name: &str| format!("{option}={}", self.directory.join(name).display());
        let options = [
            at("Dir::Etc::SourceList", "sources.list"),
            "Dir::Etc::SourceParts=/dev/null".into(),
            at("Dir::State", "state"),
            at("Dir::State::status", "state/status"),
            at("Dir::Cache", "cache"),
            // The user _apt cannot write to a directory of ours.
            "APT::Sandbox::User=root".into(),
            "Acquire::Languages=none".into(),
        ];
        let apt_get = Invocation::typed("apt-get -qq", self.workspace.root());
        options.iter().fold(apt_get, |apt_get, option| apt_get.arg("-o").arg(option))
    }

    /// The Debian archive that this machine uses. Its package lists need not be there yet.
    fn archive(&self) -> Result<String> {
        let indexes = Invocation::typed("apt-get --print-uris update", self.workspace.root()).output()?;
        let archive =
            archive_of(&indexes).context("the package sources of this machine name no Debian archive")?;
        Ok(archive.to_owned())
    }

    fn unpack(&self) -> Result<()> {
        for entry in fs::read_dir(self.archives())? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                let unpack = Invocation::typed("dpkg --extract", self.workspace.root());
                unpack.arg(&path).arg(self.root()).output()?;
            }
        }
        for directory in ["cache", "state"] {
            fs::remove_dir_all(self.directory.join(directory))?;
        }
        Ok(())
    }

    /// Writes a script with the program's name, which starts the program with the libraries of its release.
    fn write_launcher(&self, program: &str) -> Result<()> {
        let libraries = Libraries::below(&self.root())?;
        let mut places =
            PROGRAM_DIRECTORIES.map(|directory| self.root().join(directory).join(program)).into_iter();
        let real =
            places.find(|place| place.is_file()).with_context(|| format!("the package has no {program}"))?;
        let launcher = self.programs().join(program);
        fs::create_dir_all(self.programs())?;
        fs::write(&launcher, script(&libraries, &real))?;
        fs::set_permissions(&launcher, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }
}

/// The dynamic loader and the libraries of unpacked packages.
struct Libraries {
    loader: PathBuf,
    directories: Vec<PathBuf>,
}

impl Libraries {
    fn below(root: &Path) -> Result<Self> {
        let (mut loader, mut directories) = (None, Vec::new());
        let mut to_visit: Vec<_> =
            ["lib", "lib64", "usr/lib", "usr/lib64"].map(|name| root.join(name)).into();
        while let Some(directory) = to_visit.pop() {
            // Not each package has each of these.
            let Ok(entries) = fs::read_dir(&directory) else { continue };
            for entry in entries {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let path = entry.path();
                if entry.file_type()?.is_dir() {
                    to_visit.push(path);
                } else if name.starts_with("ld-linux") && path.is_file() {
                    loader = Some(path);
                } else if name.contains(".so.") && !directories.contains(&directory) {
                    directories.push(directory.clone());
                }
            }
        }
        ensure!(!directories.is_empty(), "the packages have no libraries");
        Ok(Self { loader: loader.context("the packages have no dynamic loader")?, directories })
    }
}

/// A script that starts `program` with these libraries.
fn script(Libraries { loader, directories }: &Libraries, program: &Path) -> String {
    let path: Vec<_> = directories.iter().map(|directory| directory.display().to_string()).collect();
    let path = path.join(":");
    let [loader, path, program] = [loader.as_os_str(), path.as_ref(), program.as_os_str()].map(quoted);
    format!("#!/bin/sh\nexec {loader} --library-path {path} {program} \"$@\"\n")
}

/// The first Debian archive among the indexes that apt-get would download, each in quotation marks at the beginning of its line.
fn archive_of(indexes: &str) -> Option<&str> {
    let addresses = indexes.lines().filter_map(|line| line.strip_prefix('\''));
    addresses
        .filter_map(|address| address.split_once("dists/"))
        .map(|(archive, _)| archive)
        .find(|archive| archive.ends_with("/debian/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_what_the_package_sources_name() {
        let indexes = "'http://deb.debian.org/debian-security/dists/bookworm-security/InRelease' a 0 \n\
                       'http://mirror.example/debian/dists/bookworm/InRelease' b 0 \n";
        assert_eq!(archive_of(indexes), Some("http://mirror.example/debian/"));
        assert_eq!(archive_of("'http://mirror.example/ubuntu/dists/noble/InRelease' c 0\n"), None);
        assert_eq!(archive_of(""), None);
    }

    #[test]
    fn the_loader_and_the_libraries_are_found_wherever_packages_put_them() {
        let root = tempfile::tempdir().unwrap();
        let make = |path: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            path
        };
        assert!(Libraries::below(root.path()).is_err());
        let library = make("usr/lib/x86_64-linux-gnu/libc.so.6");
        assert!(Libraries::below(root.path()).is_err(), "without a loader");
        let loader = make("usr/lib64/ld-linux-x86-64.so.2");
        let found = Libraries::below(root.path()).unwrap();
        assert_eq!((found.loader, found.directories), (loader, vec![library.parent().unwrap().into()]));
    }

    #[test]
    fn the_script_hands_its_arguments_on() {
        let libraries = Libraries { loader: "/a b/ld".into(), directories: vec!["/c".into(), "/d".into()] };
        let script = script(&libraries, Path::new("/e/i2pd"));
        assert_eq!(script, "#!/bin/sh\nexec '/a b/ld' --library-path /c:/d /e/i2pd \"$@\"\n");
    }
}
