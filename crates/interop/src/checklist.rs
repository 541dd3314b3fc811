//! Runs checks, prints the outcome of each and counts them.

use std::fmt;

use anyhow::Result;
use lab::router::crash;
use tokio::time::Instant;

/// How many checks have passed and failed.
#[derive(Default)]
pub(crate) struct Checklist {
    passed: u32,
    failed: u32,
}

impl Checklist {
    /// Returns whether there were checks and none has failed.
    pub(crate) fn all_passed(&self) -> bool {
        self.failed == 0 && self.passed > 0
    }

    /// Adds the counts of another one.
    pub(crate) fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    /// Runs a check.
    pub(crate) async fn check(&mut self, name: &str, work: impl Future<Output = Result<()>>) {
        self.check_with_result(name, async { work.await.map(|()| String::new()) }).await;
    }

    /// Runs a check whose result is printed after its name, such as ": 9 of 10".
    pub(crate) async fn check_with_result(&mut self, name: &str, work: impl Future<Output = Result<String>>) {
        // Without its router, each check would wait for minutes. The suite runs once more.
        if self.failed > 0 && crash::has_happened() {
            self.failed += 1;
            println!("FAIL {name}: not tried, since a router has crashed");
            return;
        }
        let start = Instant::now();
        match work.await {
            Ok(result) => {
                self.passed += 1;
                println!("ok   {name}{result} ({:.1} s)", start.elapsed().as_secs_f64());
            }
            Err(error) => {
                self.failed += 1;
                println!("FAIL {name}: {error:#}");
            }
        }
    }
}

impl fmt::Display for Checklist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "interop: {} passed, {} failed", self.passed, self.failed)
    }
}
