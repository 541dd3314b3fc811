//! Runs the rows on every proxy, and judges the results.

use std::{
    net::TcpListener,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

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
    SUITE,
    conversation::Conversation,
    packets, page,
    rows::{self, Row},
    servers::{Kind, ROUTERS, Running, Setup, open_sites},
};

/// How many rows run at the same time on one proxy.
const ROWS_AT_ONCE: usize = 12;

/// Starts the proxies and runs all rows on each.
pub(crate) async fn run(workspace: &Workspace, lab: &Path, kinds: &[Kind]) -> Result<Vec<Column>> {
    let addresses: Vec<_> = (0..ROUTERS).map(router::address).collect();
    namespace::set_up(&addresses)?;
    if kinds.contains(&Kind::Ours) {
        // Before the others start, whose packets would count.
        packets::check(workspace, lab).await.context("packets")?;
    }
    let mut columns = Vec::new();
    let tests = LocalSet::new();
    let run_all = tests.run_until(async {
        let mut tests = JoinSet::new();
        for (index, &kind) in kinds.iter().enumerate() {
            let (workspace, lab) = (workspace.clone(), lab.to_path_buf());
            tests.spawn_local(async move {
                let sites = open_sites(rows::all().count())?;
                let ports = sites.iter().map(|site| Ok(site.local_addr()?.port())).collect::<Result<_>>()?;
                let running = kind.start(&Setup { workspace, lab, ports }).await?;
                Ok::<_, anyhow::Error>((index, test(kind, running, sites).await?))
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

/// Runs all rows on one proxy and then stops it.
async fn test(kind: Kind, running: Running, sites: Vec<TcpListener>) -> Result<Column> {
    let rows = move || {
        let marks = run_rows(&running, &sites);
        Column { title: kind.title(), version: running.version.clone(), marks, measured: None }
    };
    tokio::task::spawn_blocking(rows).await.context("the rows panicked")
}

/// Runs the rows, several at the same time.
fn run_rows(running: &Running, sites: &[TcpListener]) -> Vec<Mark> {
    let all: Vec<_> = rows::all().zip(sites).collect();
    let next = AtomicUsize::new(0);
    let marks = Mutex::new(vec![Mark::Fail("the row itself panicked".into()); all.len()]);
    let work = || {
        while let Some((number, (row, site))) =
            Some(next.fetch_add(1, Relaxed)).and_then(|at| Some((at, all.get(at)?)))
        {
            let mark = run_row(row, running, site);
            if let Some(slot) = marks.lock().unwrap_or_else(PoisonError::into_inner).get_mut(number) {
                *slot = mark;
            }
        }
    };
    thread::scope(|scope| {
        for worker in (0..ROWS_AT_ONCE).map(|_| scope.spawn(work)).collect::<Vec<_>>() {
            // A row that panics keeps its mark.
            let _ = worker.join();
        }
    });
    marks.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn run_row(row: &Row, running: &Running, site: &TcpListener) -> Mark {
    let [host, unknown] = running.names;
    let conversation = Conversation::new(running.address, host, unknown, site);
    let outcome = conversation.and_then(|mut conversation| (row.run)(&mut conversation));
    Mark::of(outcome)
}

/// Prints the table and writes or compares it. Fails if our proxy does not pass.
pub(crate) fn judge(workspace: &Workspace, columns: Vec<Column>, write: bool) -> Result<()> {
    let mend = "crates/i2p-tunnel, the rooms http_message and connection, or the row in crates/http-conformance/src/rows if it \
                demands too much";
    let advice = Advice { suite: SUITE.name, mend };
    judge::judge(workspace, (&page::page(), &page::JAVA), columns, write, &advice)
}
