//! Makes the text of `--version`: the commit that the program is built from, and whether it has the embedded router.

use std::{env, fs, path::Path, process::Command};

/// How many digits of a commit are shown.
const COMMIT_DIGITS: usize = 12;

fn main() {
    let is_set = |name| env::var_os(name).is_some();
    let has_router = is_set("CARGO_FEATURE_EMBEDDED") && is_set("CARGO_CFG_UNIX");
    let router = if has_router { "with the embedded router" } else { "without the embedded router" };
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=I2P_SOCKS_VERSION={version} ({}, {router})", origin());
}

/// What it is built from. A debug build does not name the commit, or else it would be compiled again after each one.
fn origin() -> String {
    if env::var("PROFILE").is_ok_and(|profile| profile != "release") {
        return "debug build".to_owned();
    }
    let directory = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    match commit_of_package(Path::new(&directory)).or_else(|| commit_of_clone(&directory)) {
        Some(commit) => format!("commit {commit}"),
        None => "unknown commit".to_owned(),
    }
}

/// The commit of a package as cargo publishes it, which cargo has written beside the manifest.
fn commit_of_package(directory: &Path) -> Option<String> {
    let text = fs::read_to_string(directory.join(".cargo_vcs_info.json")).ok()?;
    let (_, rest) = text.split_once("\"sha1\"")?;
    first_digits(rest.trim_start_matches([':', ' ', '"']))
}

/// The commit of a clone of the repository.
fn commit_of_clone(directory: &str) -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(directory).args(arguments).output().ok()?;
        String::from_utf8(output.stdout).ok().filter(|_| output.status.success())
    };
    let commit = first_digits(&git(&["rev-parse", "HEAD"])?)?;
    // It changes with each commit and each checkout.
    let log = git(&["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"])?;
    println!("cargo::rerun-if-changed={}", log.trim());
    Some(commit)
}

fn first_digits(text: &str) -> Option<String> {
    let digits = text.get(..COMMIT_DIGITS)?;
    digits.chars().all(|digit| digit.is_ascii_hexdigit()).then(|| digits.to_owned())
}
