//! Repeats one work of socks-wire's benchmark, so that `cargo xtask instructions` can count its instructions.

#![forbid(unsafe_code)]

mod count;
#[path = "../../socks-wire/benches/wire/work.rs"]
mod work;
#[path = "../../socks-wire/benches/wire/works.rs"]
mod works;

use std::process::ExitCode;

fn main() -> ExitCode {
    count::run_if_requested(works::WORKS).unwrap_or_else(|| {
        eprintln!("usage: counted-works count [NAME ROUNDS]");
        ExitCode::from(64)
    })
}
