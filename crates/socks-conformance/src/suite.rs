//! Runs the rows on every server, and judges the results.

use std::{path::Path, sync::Arc, thread};

use anyhow::{Context, Result};
use conformance_table::{
    command::Subject,
    judge::{self, Advice},
    mark::Mark,
    page::Column,
};
use lab::{namespace, router};
use programs::Workspace;
use tokio::task::{JoinSet, LocalSet};

use crate::{
    SUITE, name_server, page,
    rows::{self, Row},
    server::Server,
    servers::{Kind, Running, Setup, i2pd},
    services::Services,
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
        let measured = rows::relaying::time_to_first_bytes(server).ok().map(page::roughly);
        let marks = run_rows(server);
        Column { title: kind.title(), version: server.version.clone(), marks, measured }
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
    Mark::of((row.run)(server))
}

/// Prints the table and writes or compares it. Fails if our server does not pass.
pub(crate) fn judge(workspace: &Workspace, columns: Vec<Column>, write: bool) -> Result<()> {
    let mend = "crates/socks-wire for messages, crates/i2p-tunnel for the rest, or the row in crates/socks-conformance/src/rows if \
                it demands too much";
    let advice = Advice { suite: SUITE.name, mend };
    judge::judge(workspace, (&page::page(), &page::JAVA), columns, write, &advice)
}
