//! Repeats the work of a benchmark and does nothing else, for a program that counts instructions.
//!
//! `count` prints the path of the program and the names of its works; `count NAME ROUNDS` repeats one of them.

use std::{env, hint::black_box, process::ExitCode};

use crate::work::Work;

/// Runs `count` if it is on the command line. Returns the exit code.
pub(crate) fn run_if_requested(works: &[Work]) -> Option<ExitCode> {
    // cargo adds the argument --bench.
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let succeeded = match arguments.as_slice() {
        ["count"] => list(works),
        ["count", name, rounds] => rounds.parse().is_ok_and(|rounds| repeat(works, name, rounds)),
        _ => return None,
    };
    Some(if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn list(works: &[Work]) -> bool {
    let Ok(program) = env::current_exe() else { return false };
    println!("program {}", program.display());
    for work in works {
        work.check();
        println!("work {}", work.name);
    }
    true
}

fn repeat(works: &[Work], name: &str, rounds: usize) -> bool {
    let Some(work) = works.iter().find(|work| work.name == name) else { return false };
    for _ in 0..rounds {
        black_box((work.run)());
    }
    true
}
