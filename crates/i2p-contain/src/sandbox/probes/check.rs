//! A check of the walls on this machine: runs the hostile program in a sandbox, against an accomplice of its own.

use std::{
    env,
    fs::{self, DirBuilder},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, chown},
    path::{Path, PathBuf},
};

use super::{
    super::{
        outside::Prepared,
        refusal::Refusal,
        request::Program,
        users::{UNPRIVILEGED, is_root},
    },
    accomplice::Accomplice,
    program::{parse, program},
    rows::Row,
};

/// The hostile program, and what it tries to reach on this machine. Directories and files that are made for it are gone
/// once it is dropped.
pub struct Check {
    accomplice: Accomplice,
    _directories: [Directory; 2],
}

/// Why a check has no outcome.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// A wall could not be built.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The output of the hostile program could not be read.
    #[error("cannot read what the hostile program has tried: {0}")]
    Output(#[from] io::Error),
    /// The hostile program has ended early, with this exit code.
    #[error("the hostile program has ended early, with exit code {0}")]
    EndedEarly(u8),
}

impl Check {
    /// Opens what the hostile program tries to reach: listeners on 127.0.0.1 and `::1`; Unix sockets, files and a FIFO in new
    /// directories of the user's home directory and of `/tmp`; shared memory.
    ///
    /// # Errors
    ///
    /// Something could not be opened.
    pub fn prepare() -> io::Result<Self> {
        let home = env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        let places = home.into_iter().chain([PathBuf::from("/var/tmp")]);
        let mut made = places.map(|place| Directory::make_in(&place));
        let home = made.find(Result::is_ok).unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()))?;
        let temporary = Directory::make_in(Path::new("/tmp"))?;
        let accomplice = Accomplice::start(&home.0, &temporary.0, Path::new("/run"))?;
        Ok(Self { accomplice, _directories: [home, temporary] })
    }

    /// The hostile program, for the [`Request`](super::super::Request) of the sandbox that is checked.
    pub fn program(&self) -> Program {
        program(self.accomplice.targets())
    }

    /// Runs the hostile program in the sandbox, which was prepared for it, and returns all tries with their outcomes. Blocks
    /// until it has ended, which takes seconds. Its standard input is empty, and nothing is printed but errors.
    ///
    /// # Errors
    ///
    /// See [`CheckError`].
    pub fn run(self, prepared: Prepared) -> Result<Vec<Row>, CheckError> {
        let (running, mut output) = prepared.start_captured()?;
        let mut printed = Vec::new();
        output.read_to_end(&mut printed)?;
        match running.wait()? {
            0 => Ok(parse(&printed)?),
            code => Err(CheckError::EndedEarly(code)),
        }
    }
}

/// A directory of the check, which belongs to the user whom the program is.
struct Directory(PathBuf);

impl Directory {
    fn make_in(place: &Path) -> io::Result<Self> {
        let random = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
        let path = place.join(format!(".i2p-contain-{}", random.trim()));
        DirBuilder::new().mode(0o700).create(&path)?;
        if is_root()? {
            chown(&path, Some(UNPRIVILEGED), Some(UNPRIVILEGED))?;
        }
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
