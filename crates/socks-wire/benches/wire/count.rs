//! The work of a bench, so many times and nothing else, for a program that counts instructions. The bench for
//! time and the count run the same machine code.
//!
//! `count` lists where the program is and what it can do; `count NAME ROUNDS` does it.

use std::{env, hint::black_box, process::ExitCode};

/// Something to measure.
pub(crate) struct Work {
    /// What it is called.
    pub(crate) name: &'static str,
    /// Does it once and gives a number that shows that it was done.
    pub(crate) run: fn() -> usize,
    /// That number.
    pub(crate) gives: usize,
}

impl Work {
    /// What does nothing costs nothing: it has to give what it should before it is measured.
    pub(crate) fn check(&self) {
        assert_eq!((self.run)(), self.gives, "{} does not do its work", self.name);
    }
}

/// Counts, when the command line asks for it, and gives the exit code.
pub(crate) fn asked(works: &[Work]) -> Option<ExitCode> {
    // cargo adds an argument of its own.
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["count"] => list(works),
        ["count", name, rounds] => rounds.parse().is_ok_and(|rounds| repeat(works, name, rounds)),
        _ => return None,
    };
    Some(if done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
