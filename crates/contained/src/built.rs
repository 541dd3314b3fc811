//! Programs of the suite's own, in languages that make system calls in their own ways.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

/// The sources, with the names that their languages want.
const SOURCES: [(&str, &str); 8] = [
    ("errors.go", include_str!("../programs/errors.go")),
    ("Errors.java", include_str!("../programs/Errors.java")),
    ("errors.js", include_str!("../programs/errors.js")),
    ("fetch.c", include_str!("../programs/fetch.c")),
    ("fetch.go", include_str!("../programs/fetch.go")),
    ("Fetch.java", include_str!("../programs/Fetch.java")),
    ("fetch.py", include_str!("../programs/fetch.py")),
    ("terminal.py", include_str!("../programs/terminal.py")),
];
/// What makes programs of them.
const COMPILERS: [&str; 3] = [
    "musl-gcc -static -O -Wall -Werror -o fetch-c fetch.c",
    "export CGO_ENABLED=0 GOCACHE=$PWD/go-cache GO111MODULE=off && go build -o fetch-go fetch.go && go build -o errors-go errors.go",
    "ecj -11 -proc:none -d . Fetch.java Errors.java",
];

/// Compiles them, side by side. Returns the directory that contains them.
pub(crate) async fn build(lab: &Path) -> Result<PathBuf> {
    let directory = lab.join("programs");
    fs::create_dir(&directory)?;
    fs::set_permissions(&directory, Permissions::from_mode(0o755))?;
    for (name, text) in SOURCES {
        fs::write(directory.join(name), text)?;
    }
    let [c, go, java] = COMPILERS;
    tokio::try_join!(compile(c, &directory), compile(go, &directory), compile(java, &directory))?;
    Ok(directory)
}

async fn compile(line: &str, directory: &Path) -> Result<()> {
    let mut compiler = Command::new("sh");
    compiler.args(["-c", line]).current_dir(directory).kill_on_drop(true);
    let output = compiler.output().await.with_context(|| format!("could not start {line}"))?;
    ensure!(
        output.status.success(),
        "{line}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
