//! Where a process that is a stage of a sandbox begins.

use std::{env, ffi::OsString, io, os::fd::OwnedFd, process::ExitCode, time::Duration};

use super::{
    init, namespaces, probes, program,
    refusal::Refusal,
    stage::{REFUSED, STAGE, Stage},
};

/// Runs the stage of a sandbox that this process is, and returns its exit code; `None` if it is none.
///
/// Every program that starts sandboxes calls this before anything else: before it starts threads, reads its arguments
/// or opens files.
///
/// `link` is called inside the new network namespace, with the capabilities of its owner (`CAP_NET_ADMIN` there, for
/// example) and the files of the host. It gets the [`connect_timeout`](super::Request::connect_timeout) of the request, makes
/// the way out, such as a TUN device with addresses and a listening socket, and returns at most 64 descriptors. They are handed
/// over to the process outside ([`Prepared::take_link`](super::Prepared::take_link)), and closed here.
pub fn run_if_stage(link: impl FnOnce(Duration) -> Result<Vec<OwnedFd>, Refusal>) -> Option<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    if arguments.next()? != STAGE {
        return None;
    }
    let stage = Stage::named(&arguments.next()?)?;
    let rest: Vec<OsString> = arguments.collect();
    Some(match run(stage, link, rest) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Only somebody who has called the stage himself sees this: others are told over the connection.
            eprintln!("{STAGE} {}: {error}", stage.name());
            ExitCode::from(REFUSED)
        }
    })
}

fn run(
    stage: Stage,
    link: impl FnOnce(Duration) -> Result<Vec<OwnedFd>, Refusal>,
    arguments: Vec<OsString>,
) -> io::Result<u8> {
    match stage {
        Stage::Namespaces => namespaces::run(link),
        Stage::Init => init::run(),
        Stage::Program => Ok(program::run(arguments)),
        Stage::Probes => probes::run(&arguments),
        Stage::ProbeApart => probes::run_apart(&arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_other_arguments_is_no_stage() {
        // The arguments of a test program.
        assert!(run_if_stage(|_| Ok(Vec::new())).is_none());
    }
}
