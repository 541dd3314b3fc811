//! Measures how the cost of the address book grows with its names.
//!
//! A program of its own measures it, built in release like the proxy.

use anyhow::{Context, Result, bail, ensure};
use programs::{Invocation, Workspace};

use crate::{
    measure::{Measure, Results},
    plan::Plan,
    subject::Subject,
};

/// The program, below the target directory.
const PROGRAM: &str = "release/address-book-growth";

/// Lets an address book grow and records the times at each size.
pub(crate) fn measure(workspace: &Workspace, plan: &Plan, results: &mut Results) -> Result<()> {
    let sizes = plan.names.iter().map(ToString::to_string);
    let directory = tempfile::tempdir()?;
    let growth = Invocation::new(workspace.target().join(PROGRAM), workspace.root())
        .arg(directory.path().join("names.redb"));
    let output = sizes.fold(growth, Invocation::arg).output()?;
    for line in output.lines() {
        record(line, results).with_context(|| format!("{PROGRAM} printed {line:?}"))?;
    }
    let measured = |names| !results.values(Measure::BookMissing(names), Subject::Ours).is_empty();
    let complete = plan.names.iter().all(|names| measured(*names));
    ensure!(complete, "{PROGRAM} did not measure all of {:?}", plan.names);
    Ok(())
}

/// Records a line: the number of names, and the nanoseconds to open the book, to find a name and to look up an unknown name.
fn record(line: &str, results: &mut Results) -> Result<()> {
    let numbers = line.split(' ').map(str::parse::<u32>).collect::<Result<Vec<_>, _>>()?;
    let &[names, open, found, missing] = numbers.as_slice() else { bail!("not four numbers") };
    let names = names as usize;
    results.record(Measure::BookOpen(names), Subject::Ours, f64::from(open) / 1e6)?;
    // An empty book has no name to find.
    if names > 0 {
        results.record(Measure::BookFound(names), Subject::Ours, f64::from(found) / 1e3)?;
    }
    results.record(Measure::BookMissing(names), Subject::Ours, f64::from(missing) / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_three_measurements_or_two_for_an_empty_book() {
        let mut results = Results::default();
        record("0 1500000 0 700", &mut results).unwrap();
        record("1000 2500000 5200 1300", &mut results).unwrap();
        let all = results.measures().into_iter().map(|measure| {
            let values = results.values(measure, Subject::Ours);
            (measure, values.to_vec())
        });
        assert_eq!(
            all.collect::<Vec<_>>(),
            [
                (Measure::BookOpen(0), vec![1.5]),
                (Measure::BookOpen(1000), vec![2.5]),
                (Measure::BookFound(1000), vec![5.2]),
                (Measure::BookMissing(0), vec![0.7]),
                (Measure::BookMissing(1000), vec![1.3]),
            ]
        );
        for line in ["", "1 2 3", "1 2 3 x", "1000 1 0 1"] {
            assert!(record(line, &mut results).is_err(), "{line:?}");
        }
    }
}
