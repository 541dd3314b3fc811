//! The queries and alerts of `docs/metrics.md`, evaluated by a real Prometheus that reads the metrics of the proxy.

use std::{fs, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, bail, ensure};
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
/// The section with the alerts.
const ALERTS_SECTION: &str = "## Alerts";
/// Where Prometheus listens. The namespace is ours, so that the port is free.
const ADDRESS: &str = "127.0.0.1:9090";
/// The job has the name that the page uses.
const CONFIGURATION: &str = "\
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs: [{job_name: i2p-socks, static_configs: [{targets: ['127.0.0.1:4480']}]}]
";
/// How long Prometheus may take to start and to read the metrics twice. Three seconds are usual.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs each query, and each alert's.
pub(crate) async fn check(
    checklist: &mut Checklist,
    workspace: &Workspace,
    lab: &Path,
    curl: &Curl,
    site: &Site,
) {
    let text = fs::read_to_string(workspace.root().join(PAGE_FILE)).unwrap_or_default();
    let queries = queries(&text);
    let rules = rules(&text).unwrap_or_default();
    let started = async {
        ensure!(!queries.is_empty(), "there are no queries below {SECTION:?}");
        let prometheus = start(lab, rules)?;
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
    checklist.check("Prometheus accepts the alerts, and none fires", alerts(curl, rules)).await;
    drop(prometheus);
}

/// Checks that Prometheus has evaluated each alert, and that each has a value: without one, it could never fire.
async fn alerts(curl: &Curl, rules: &str) -> Result<()> {
    let expected = rules.matches("- alert: ").count();
    let url = format!("http://{ADDRESS}/api/v1/rules");
    let queries = until("all alerts were evaluated", ANSWER_TIMEOUT, async || {
        evaluated(&fetch(curl, &[&url]).await?, expected)
    })
    .await?;
    for query in queries {
        has_value(curl, &query).await.with_context(|| query.clone())?;
    }
    Ok(())
}

/// Reads an answer of Prometheus about its rules. Returns a query for each that always has a value: whether it fires, as 0 or 1.
fn evaluated(answer: &[u8], expected: usize) -> Result<Attempt<Vec<String>>> {
    let answer: Value = serde_json::from_slice(answer).context("the answer is not JSON")?;
    let groups = answer.pointer("/data/groups").and_then(Value::as_array).context("there are no groups")?;
    let rules: Vec<_> = groups.iter().filter_map(|group| group.get("rules")?.as_array()).flatten().collect();
    ensure!(expected > 0 && rules.len() == expected, "{} alerts instead of {expected}", rules.len());
    let text = |rule: &Value, key: &str| rule.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut queries = Vec::new();
    for rule in rules {
        match text(rule, "health").as_str() {
            "ok" => {}
            "unknown" => return Ok(Attempt::NotYet(format!("{} was not evaluated", text(rule, "name")))),
            health => bail!("{}: {health}: {}", text(rule, "name"), text(rule, "lastError")),
        }
        ensure!(text(rule, "state") != "firing", "{} fires", text(rule, "name"));
        queries.push(with_bool(&text(rule, "query"))?);
    }
    Ok(Attempt::Done(queries))
}

/// The query of an alert with a comparison that returns 0 or 1 where it would drop a value.
fn with_bool(query: &str) -> Result<String> {
    let at = query.rfind([' ']).context("an alert without a comparison")?;
    let (comparison, limit) = query.split_at(at);
    ensure!(
        comparison.ends_with(" >") || comparison.ends_with(" =="),
        "an alert with another comparison: {query}"
    );
    Ok(format!("{comparison} bool{limit}"))
}

/// The rules of the page.
fn rules(page: &str) -> Option<&str> {
    let (_, section) = page.split_once(ALERTS_SECTION)?;
    let (_, rules) = section.split_once("```yaml\n")?;
    rules.split_once("```").map(|(rules, _)| rules)
}

/// The queries of the section: what stands in backquotes and names a metric.
fn queries(page: &str) -> Vec<&str> {
    let section = page.split_once(SECTION).map_or("", |(_, rest)| rest);
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let quoted = section.split('`').skip(1).step_by(2);
    quoted.filter(|text| text.contains("i2p_socks_") || text.contains("process_")).collect()
}

fn start(lab: &Path, rules: &str) -> Result<Child> {
    let directory = lab.join("prometheus");
    fs::create_dir_all(&directory)?;
    let configuration = directory.join("prometheus.yml");
    fs::write(&configuration, CONFIGURATION)?;
    fs::write(directory.join("rules.yml"), rules)?;
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
    fn alerts_become_queries_with_a_value() {
        let answer = |health: &str, state: &str, query: &str| {
            let rule = format!(r#"{{"name":"A","query":"{query}","health":"{health}","state":"{state}"}}"#);
            let groups = format!(r#"{{"data":{{"groups":[{{"rules":[{rule}]}}]}}}}"#);
            evaluated(groups.as_bytes(), 1)
        };
        let Ok(Attempt::Done(queries)) = answer("ok", "inactive", "a / b > 0.9") else { panic!() };
        assert_eq!(queries, ["a / b > bool 0.9"]);
        assert!(matches!(answer("unknown", "inactive", "a > 1"), Ok(Attempt::NotYet(_))));
        assert!(answer("err", "inactive", "a > 1").is_err());
        assert!(answer("ok", "firing", "a > 1").is_err());
        assert!(answer("ok", "inactive", "absent(a)").is_err());
        assert!(evaluated(br#"{"data":{"groups":[]}}"#, 1).is_err());
        let page = format!("{ALERTS_SECTION}\n\n```yaml\ngroups:\n```\n");
        assert_eq!(rules(&page), Some("groups:\n"));
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
