//! Says what the hostile program reaches behind another tool, such as bubblewrap:
//!
//! ```sh
//! cargo run -p i2p-contain --example hostile -- bwrap --dev-bind / / --unshare-all
//! ```
//!
//! The arguments are the tool and its options. It must run the words that follow them as a command. Without arguments, there are no
//! walls at all. To be tried as an ordinary user: root gets through most walls.

use std::{env, error::Error, path::Path, process::ExitCode};

use i2p_contain::sandbox::{
    probes::{self, Accomplice, Row},
    run_if_stage,
};

fn main() -> ExitCode {
    // The hostile program is this one, started again.
    if let Some(code) = run_if_stage(|_| Ok(Vec::new())) {
        return code;
    }
    let tool: Vec<String> = env::args().skip(1).collect();
    let Some(home) = env::var_os("HOME") else {
        eprintln!("HOME is not set");
        return ExitCode::FAILURE;
    };
    match rows_behind(Path::new(&home), &tool) {
        Ok(rows) => {
            for Row { name, held, detail } in &rows {
                let detail = detail.lines().next().unwrap_or_default();
                println!("{} {name}: {detail}", if *held { "held   " } else { "GOT OUT" });
            }
            let out = rows.iter().filter(|row| !row.held).count();
            println!("{out} of {} tries got out", rows.len());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the hostile program behind a tool, and returns the outcome of each try. `home` is the user's home directory.
///
/// # Errors
/// The tool could not be started, or has not let the program run.
pub(crate) fn rows_behind(home: &Path, tool: &[String]) -> Result<Vec<Row>, Box<dyn Error>> {
    let [home, temporary] = [home, Path::new("/tmp")].map(tempfile::tempdir_in);
    let (home, temporary) = (home?, temporary?);
    let accomplice = Accomplice::start(home.path(), temporary.path(), Path::new("/run"))?;
    let mut command = probes::behind(tool, accomplice.targets())?;
    let output = command.output()?;
    let printed = probes::parse(&output.stdout);
    printed.map_err(|error| {
        format!("{error}: {}, {}", output.status, String::from_utf8_lossy(&output.stderr)).into()
    })
}
