//! The proof that `socks-wire` needs neither `std` nor `alloc`.
//!
//! The usual proof is a build for a target that has no `std`; that needs a target to be installed. This one works
//! with any stable toolchain: a static library around `socks-wire` that brings a panic handler of its own and no
//! allocator. Linking `std` anywhere below it means two panic handlers (E0152); linking `alloc` without `std`
//! means an allocator that nobody provides. rustc refuses both.

use std::fs;

use anyhow::{Context, Result};

use crate::{Workspace, invocation::Invocation};

/// `extern crate`, so that the library is part of the artifact although nothing of it is called.
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
    // Alone and in a directory of its own: features that other crates of the workspace ask for do not count.
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
