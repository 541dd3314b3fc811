//! `cargo xtask conformance`: how SOCKS servers behave, ours among them, in raw bytes.
//!
//! Like interop, the suite runs twice: outside, where it finds the programs and builds ours; and inside a network and mount
//! namespace, where the servers are. The environment variable [`SUBJECT`] chooses one server; otherwise all run, at the same
//! time, and so do the rows of each.

mod client;
mod name_server;
mod rows;
pub(crate) mod services;
mod subject;
pub(crate) mod subjects;
mod table;

use std::{fs, path::Path, sync::Arc, thread};

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    runtime::Runtime,
    task::{JoinSet, LocalSet},
};

use self::{
    rows::Row,
    services::Services,
    subject::{NotApplicable, Subject},
    subjects::{Kind, Running, Setup, i2pd},
    table::{Column, Differences, Outcome},
};
use crate::{
    Workspace,
    lab::{
        namespace::{self, INSIDE, NETWORK_AND_MOUNTS},
        router,
    },
    programs::{self, Program},
};

/// What the suite runs beside the servers.
const PROGRAMS: [Program; 3] = [("ip", "iproute2"), ("unshare", "util-linux"), ("mount", "mount")];
/// The chore's name.
pub(crate) const NAME: &str = "conformance";
/// What makes it write the table instead of comparing it.
pub(crate) const WRITE: &str = "--write";
/// The variable that chooses one server.
const SUBJECT: &str = "SOCKS_CONFORMANCE_SUBJECT";

/// Outside: runs the suite and compares the table.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    outside(workspace, &[])
}

/// Outside: runs the suite and writes the table.
pub(crate) fn write(workspace: &Workspace) -> Result<()> {
    ensure!(chosen()?.len() == Kind::ALL.len(), "{WRITE} is about the whole table: unset {SUBJECT}");
    outside(workspace, &[WRITE])
}

fn outside(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    let needed: Vec<_> = chosen()?.into_iter().filter_map(Kind::program).chain(PROGRAMS).collect();
    programs::provide(&needed, workspace)?;
    workspace.build_proxy()?;
    namespace::run_inside_in_spite_of_crashes(workspace, NAME, arguments, NETWORK_AND_MOUNTS)
}

/// The servers to be tested.
fn chosen() -> Result<Vec<Kind>> {
    choose(&std::env::var(SUBJECT).unwrap_or_default())
}

fn choose(choice: &str) -> Result<Vec<Kind>> {
    if choice.is_empty() {
        return Ok(Kind::ALL.to_vec());
    }
    let known = Kind::ALL.map(Kind::choice).join(", ");
    let kind = Kind::ALL.into_iter().find(|kind| kind.choice() == choice);
    kind.map(|kind| vec![kind]).with_context(|| format!("{SUBJECT}={choice} is none of {known}"))
}

/// Inside: the servers and the rows, then the table.
pub(crate) fn inside(workspace: &Workspace, write: bool) -> Result<()> {
    ensure!(namespace::is_inside(), "{INSIDE} is what the suite says to itself; run cargo xtask {NAME}");
    let parent = workspace.target().join(NAME);
    fs::create_dir_all(&parent).with_context(|| format!("could not make {}", parent.display()))?;
    let lab =
        tempfile::Builder::new().prefix("lab-").tempdir_in(&parent).context("no directory for the lab")?;
    let kinds = chosen()?;
    let runtime = Runtime::new().context("no runtime")?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            result = suite(workspace, lab.path(), &kinds) => Some(result),
            () = namespace::outside_is_gone() => None,
        }
    });
    // Rows that still run end with the process.
    runtime.shutdown_background();
    let result = outcome.context("interrupted")?.and_then(|columns| judge(workspace, &columns, write));
    if result.is_err() {
        eprintln!("logs of the servers: {}", lab.keep().display());
    }
    result
}

/// Starts the servers and puts each through all rows.
async fn suite(workspace: &Workspace, lab: &Path, kinds: &[Kind]) -> Result<Vec<Column>> {
    let addresses: Vec<_> = (0..i2pd::ROUTERS).map(router::address).collect();
    namespace::set_up(&addresses)?;
    name_server::start(lab)?;
    let services = Arc::new(Services::start()?);
    let mut columns = Vec::new();
    let together = LocalSet::new();
    let run_all = together.run_until(async {
        let mut tests = JoinSet::new();
        for (index, &kind) in kinds.iter().enumerate() {
            let setup = Setup {
                workspace: workspace.clone(),
                lab: lab.to_path_buf(),
                services: Arc::clone(&services),
            };
            tests.spawn_local(async move {
                let running = kind.start(&setup).await?;
                Ok::<_, anyhow::Error>((index, test(kind, running).await?))
            });
        }
        while let Some(tested) = tests.join_next().await {
            columns.push(tested.context("a test broke")??);
        }
        Ok::<_, anyhow::Error>(())
    });
    run_all.await?;
    columns.sort_by_key(|(index, _)| *index);
    Ok(columns.into_iter().map(|(_, column)| column).collect())
}

/// All rows on one server, which is stopped after them.
async fn test(kind: Kind, running: Running) -> Result<Column> {
    let rows = move || {
        let subject = &running.subject;
        let outcomes = run_rows(subject);
        let first_byte = rows::relaying::first_byte(subject).ok();
        Column { title: kind.title(), version: subject.version.clone(), outcomes, first_byte }
    };
    tokio::task::spawn_blocking(rows).await.context("the rows broke")
}

/// The rows at the same time, and the last one after them.
fn run_rows(subject: &Subject) -> Vec<Outcome> {
    thread::scope(|scope| {
        let rows = rows::all().filter(|row| !std::ptr::eq(*row, &raw const rows::LAST));
        let running: Vec<_> = rows.map(|row| scope.spawn(|| outcome(row, subject))).collect();
        let broke = |_| Outcome::Fail(String::from("the row itself broke"));
        let mut outcomes: Vec<_> = running.into_iter().map(|row| row.join().unwrap_or_else(broke)).collect();
        outcomes.push(outcome(&rows::LAST, subject));
        outcomes
    })
}

fn outcome(row: &Row, subject: &Subject) -> Outcome {
    match (row.run)(subject) {
        Ok(()) => Outcome::Pass,
        Err(error) => match error.downcast_ref::<NotApplicable>() {
            Some(reason) => Outcome::NotApplicable(reason.0.clone()),
            None => Outcome::Fail(format!("{error:#}")),
        },
    }
}

/// Prints the table, writes or compares it, and fails when ours does not pass.
fn judge(workspace: &Workspace, columns: &[Column], write: bool) -> Result<()> {
    let new = table::render(columns);
    println!("{new}");
    let ours = columns.iter().find(|column| column.title == Kind::Ours.title());
    let failed: Vec<_> = ours.into_iter().flat_map(Column::failures).collect();
    if !failed.is_empty() {
        let lines: String =
            failed.iter().map(|(row, what)| format!("\n  {} ({}): {what}", row.name, row.rule)).collect();
        bail!(
            "i2p-socks does not pass; mend it (crates/socks-wire for messages, crates/i2p-tunnel for the rest), or \
             the row in xtask/src/conformance/rows if it asks for too much:{lines}"
        );
    }
    let path = workspace.root().join(table::FILE);
    if write {
        fs::write(&path, new).with_context(|| format!("could not write {}", path.display()))?;
        println!("written: {}", table::FILE);
        return Ok(());
    }
    let committed =
        fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    let Differences { mut rows, ours: mine, others } = table::compare(&committed, &new, Kind::Ours.title());
    let lines = |of: &[String]| of.iter().map(|line| format!("\n  {line}")).collect::<String>();
    if !others.is_empty() {
        println!("not as in {}; another version, or another machine?{}", table::FILE, lines(&others));
    }
    rows.extend(mine);
    ensure!(
        rows.is_empty(),
        "not as in {}; if it is as it should be, write it again with cargo xtask {NAME} {WRITE}:{}",
        table::FILE,
        lines(&rows)
    );
    match ours {
        Some(_) => println!("i2p-socks does what {} says", table::FILE),
        None => println!("{} has the same rows", table::FILE),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_or_all_of_them() {
        assert_eq!(choose("").unwrap(), Kind::ALL);
        assert_eq!(choose("dante").unwrap(), [Kind::Dante]);
        let error = choose("ss5").unwrap_err().to_string();
        assert!(error.ends_with("none of ours, microsocks, dante, i2pd"), "{error}");
    }
}
