//! Proves that `socks-wire` needs neither `std` nor `alloc`.
//!
//! The usual proof is a build for a target without `std`, which has to be installed. This proof works with any stable toolchain:
//! a static library around `socks-wire` that has a panic handler of its own and no allocator. If anything below it links `std`,
//! there are two panic handlers (E0152). If anything links `alloc` without `std`, the allocator is missing. rustc refuses both.

use std::fs;

use anyhow::{Context, Result};
use programs::{Invocation, Workspace};

/// `extern crate` makes the library a part of the artifact although nothing calls it.
const PROBE: &str = "\
#![no_std]
extern crate socks_wire;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
";

/// Builds the probe.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    // In a directory of its own, without the features that other crates of the workspace enable.
    let directory = workspace.target().join("no-std");
    fs::create_dir_all(&directory).with_context(|| format!("could not make {}", directory.display()))?;
    let probe = directory.join("probe.rs");
    fs::write(&probe, PROBE).with_context(|| format!("could not write {}", probe.display()))?;
    Invocation::typed("cargo build -p socks-wire --locked --target-dir", workspace.root())
        .arg(&directory)
        .run()?;
    let built = directory.join("debug");
    let library = built.join("libsocks_wire.rlib");
    let dependencies = built.join("deps");
    Invocation::typed("rustc --edition 2024 --crate-type staticlib -C panic=abort", workspace.root())
        .arg("--extern")
        .arg(format!("socks_wire={}", library.display()))
        .arg("-L")
        .arg(format!("dependency={}", dependencies.display()))
        .arg("-o")
        .arg(directory.join("libprobe.a"))
        .arg(&probe)
        .run()
}
