//! Runs the rows on every server, and judges the results.

use std::{fs, path::Path, sync::Arc, thread};

use anyhow::{Context, Result, bail, ensure};
use lab::{namespace, router};
use programs::Workspace;
use tokio::task::{JoinSet, LocalSet};

use crate::{
    SUITE, WRITE, name_server,
    rows::{self, Row},
    server::{NotApplicable, Server},
    servers::{Kind, Running, Setup, i2pd},
    services::Services,
    table::{self, Column, Differences, Mark},
};

/// Starts the servers and runs all rows on each.
pub(crate) async fn run(workspace: &Workspace, lab: &Path, kinds: &[Kind]) -> Result<Vec<Column>> {
    let addresses: Vec<_> = (0..i2pd::ROUTERS).map(router::address).collect();
    namespace::set_up(&addresses)?;
    name_server::start(lab)?;
    let services = Arc::new(Services::start()?);
    let mut columns = Vec::new();
    let tests = LocalSet::new();
    let run_all = tests.run_until(async {
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
            columns.push(tested.context("a test panicked")??);
        }
        Ok::<_, anyhow::Error>(())
    });
    run_all.await?;
    columns.sort_by_key(|(index, _)| *index);
    Ok(columns.into_iter().map(|(_, column)| column).collect())
}

/// Runs all rows on one server and then stops it.
async fn test(kind: Kind, running: Running) -> Result<Column> {
    let rows = move || {
        let server = &running.server;
        let first_bytes = rows::relaying::time_to_first_bytes(server).ok();
        let marks = run_rows(server);
        Column { title: kind.title(), version: server.version.clone(), marks, first_bytes }
    };
    tokio::task::spawn_blocking(rows).await.context("the rows panicked")
}

/// Runs the rows at the same time, and then, one after another, those that need the server for themselves.
fn run_rows(server: &Server) -> Vec<Mark> {
    let together = thread::scope(|scope| {
        let start = |row: &'static Row| (!row.is_alone).then(|| scope.spawn(move || run_row(row, server)));
        let running: Vec<_> = rows::all().map(start).collect();
        let panicked = |_| Mark::Fail(String::from("the row itself panicked"));
        let join = |row: thread::ScopedJoinHandle<'_, Mark>| row.join().unwrap_or_else(panicked);
        running.into_iter().map(|row| row.map(&join)).collect::<Vec<_>>()
    });
    rows::all().zip(together).map(|(row, mark)| mark.unwrap_or_else(|| run_row(row, server))).collect()
}

fn run_row(row: &Row, server: &Server) -> Mark {
    match (row.run)(server) {
        Ok(()) => Mark::Pass,
        Err(error) => match error.downcast_ref::<NotApplicable>() {
            Some(reason) => Mark::NotApplicable(reason.0.clone()),
            None => Mark::Fail(format!("{error:#}")),
        },
    }
}

/// Prints the table and writes or compares it. Fails if our server does not pass.
pub(crate) fn judge(workspace: &Workspace, columns: &[Column], write: bool) -> Result<()> {
    let new = table::render(columns);
    println!("{new}");
    let ours = columns.iter().find(|column| column.title == Kind::Ours.title());
    let failed: Vec<_> = ours.into_iter().flat_map(Column::failures).collect();
    if !failed.is_empty() {
        let lines: String = failed
            .iter()
            .map(|(row, failure)| format!("\n  {} ({}): {failure}", row.name, row.rule))
            .collect();
        bail!(
            "i2p-socks does not pass; fix it (crates/socks-wire for messages, crates/i2p-tunnel for the rest), or the \
             row in crates/socks-conformance/src/rows if it demands too much:{lines}"
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
    compare(&committed, &new, ours.is_some())
}

fn compare(committed: &str, new: &str, has_ours: bool) -> Result<()> {
    let Differences { mut rows, ours, others } = table::compare(committed, new, Kind::Ours.title());
    let lines = |of: &[String]| of.iter().map(|line| format!("\n  {line}")).collect::<String>();
    if !others.is_empty() {
        println!("differs from {}; another version, or another machine?{}", table::FILE, lines(&others));
    }
    rows.extend(ours);
    ensure!(
        rows.is_empty(),
        "differs from {}; if the change is right, write it again with cargo xtask {} {WRITE}:{}",
        table::FILE,
        SUITE.name,
        lines(&rows)
    );
    match has_ours {
        true => println!("i2p-socks behaves as {} says", table::FILE),
        false => println!("{} has the same rows", table::FILE),
    }
    Ok(())
}
