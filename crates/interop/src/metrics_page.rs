//! The queries of `docs/metrics.md`, answered by a real Prometheus that reads the metrics of the proxy.

use std::{fs, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use lab::{
    curl::Curl,
    requests::{SOCKS5_NAME, fetch, page},
    site::Site,
    wait::{Attempt, until},
};
use programs::Workspace;
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::checklist::Checklist;

/// The page, from the workspace's root.
const PAGE_FILE: &str = "docs/metrics.md";
/// The section with the queries.
const SECTION: &str = "## Useful queries";
/// Where Prometheus listens. The namespace is ours, so that the port is free.
const ADDRESS: &str = "127.0.0.1:9090";
/// The job has the name that the page uses.
const CONFIGURATION: &str = "\
global: {scrape_interval: 1s}
scrape_configs: [{job_name: i2p-socks, static_configs: [{targets: ['127.0.0.1:4480']}]}]
";
/// How long Prometheus may take to start and to read the metrics twice. Three seconds are usual.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs each query.
pub(crate) async fn check(
    checklist: &mut Checklist,
    workspace: &Workspace,
    lab: &Path,
    curl: &Curl,
    site: &Site,
) {
    let text = fs::read_to_string(workspace.root().join(PAGE_FILE)).unwrap_or_default();
    let queries = queries(&text);
    let started = async {
        ensure!(!queries.is_empty(), "there are no queries below {SECTION:?}");
        let prometheus = start(lab)?;
        // A rate needs a change between two readings.
        for query in ["up", "count_over_time(up[1m]) > 1"] {
            has_value(curl, query).await?;
        }
        Ok(prometheus)
    };
    let prometheus = match started.await {
        Ok(prometheus) => prometheus,
        Err(error) => return checklist.check("Prometheus reads the metrics", async { Err(error) }).await,
    };
    checklist.check("a page, for rates", page(curl, &[SOCKS5_NAME], &site.host)).await;
    for query in queries {
        checklist.check(&format!("{PAGE_FILE}: {query}"), has_value(curl, query)).await;
    }
    drop(prometheus);
}

/// The queries of the section: what stands in backquotes and names a metric.
fn queries(page: &str) -> Vec<&str> {
    let section = page.split_once(SECTION).map_or("", |(_, rest)| rest);
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let quoted = section.split('`').skip(1).step_by(2);
    quoted.filter(|text| text.contains("i2p_socks_") || text.contains("process_")).collect()
}

fn start(lab: &Path) -> Result<Child> {
    let directory = lab.join("prometheus");
    fs::create_dir_all(&directory)?;
    let configuration = directory.join("prometheus.yml");
    fs::write(&configuration, CONFIGURATION)?;
    let log = fs::File::create(directory.join("log"))?;
    Command::new(programs::find("prometheus").context("prometheus is missing")?)
        .arg(format!("--config.file={}", configuration.display()))
        .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
        .arg(format!("--web.listen-address={ADDRESS}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .context("could not start prometheus")
}

/// Waits until a query has a value that is a number.
async fn has_value(curl: &Curl, query: &str) -> Result<()> {
    let (url, parameter) = (format!("http://{ADDRESS}/api/v1/query"), format!("query={query}"));
    until("a value", ANSWER_TIMEOUT, async || {
        match fetch(curl, &["--get", "--data-urlencode", &parameter, &url]).await {
            Ok(answer) => value(&answer),
            Err(error) => Ok(Attempt::NotYet(format!("{error:#}"))),
        }
    })
    .await
}

/// Reads an answer of Prometheus.
fn value(answer: &[u8]) -> Result<Attempt<()>> {
    let answer: Value = serde_json::from_slice(answer).context("the answer is not JSON")?;
    let samples = answer.pointer("/data/result").and_then(Value::as_array).context("there is no result")?;
    let number = |sample: &Value| {
        let text = sample.pointer("/value/1").and_then(Value::as_str);
        text.and_then(|text| text.parse::<f64>().ok()).is_some_and(f64::is_finite)
    };
    if samples.iter().any(number) {
        return Ok(Attempt::Done(()));
    }
    Ok(Attempt::NotYet(format!("{} samples, and none is a number", samples.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_what_names_a_metric() {
        let page = format!(
            "`i2p_socks_a`\n{SECTION}\n\n* One? `sum(i2p_socks_b)`, or `/ready`.\n* `process_c`\n\n## More\n`i2p_socks_d`"
        );
        assert_eq!(queries(&page), ["sum(i2p_socks_b)", "process_c"]);
    }

    #[test]
    fn only_numbers_are_values() {
        let of = |samples: &str| {
            let answer =
                format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{samples}]}}}}"#);
            matches!(value(answer.as_bytes()), Ok(Attempt::Done(())))
        };
        assert!(of(r#"{"metric":{},"value":[1.5,"0"]}"#));
        assert!(of(r#"{"metric":{},"value":[1.5,"NaN"]},{"metric":{},"value":[1.5,"2.5"]}"#));
        assert!(!of(r#"{"metric":{},"value":[1.5,"NaN"]}"#));
        assert!(!of(""));
        assert!(value(b"no JSON").is_err());
    }
}
