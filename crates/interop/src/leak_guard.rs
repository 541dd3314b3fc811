//! How often the leak guard has warned of the programs of this suite.

use anyhow::{Context, Result, ensure};
use lab::{curl::Curl, proxy::ADMIN_URL, requests::fetch};

use crate::checklist::Checklist;

/// At most one warning in so many connections.
const CONNECTIONS_PER_WARNING: u64 = 50;

/// Checks that warnings are rare, and prints their kinds: these programs send what they send to everyone.
pub(crate) async fn check(checklist: &mut Checklist, curl: &Curl) {
    checklist.check_with_result("the leak guard warns seldom", warnings(curl)).await;
}

async fn warnings(curl: &Curl) -> Result<String> {
    let page = fetch(curl, &[&format!("{ADMIN_URL}metrics")]).await?;
    let page = String::from_utf8(page).context("the metrics are not text")?;
    let connections: u64 = values(&page, "i2p_socks_connections_total").map(|(_, value)| value).sum();
    let warnings: Vec<_> = values(&page, "i2p_socks_leaks_total").filter(|(_, value)| *value > 0).collect();
    let count: u64 = warnings.iter().map(|(_, value)| value).sum();
    let result = format!(": {count} warnings in {connections} connections {warnings:?}");
    ensure!(count * CONNECTIONS_PER_WARNING <= connections, "{result}");
    Ok(result)
}

/// The labels and values of a metric.
fn values<'a>(page: &'a str, name: &'a str) -> impl Iterator<Item = (&'a str, u64)> {
    page.lines().filter_map(move |line| {
        let (labels, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
        Some((labels, value.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_this_metric() {
        let page = "# TYPE a counter\na{kind=\"x\"} 2\na{kind=\"y\"} 0\nb 7\n";
        assert_eq!(values(page, "a").collect::<Vec<_>>(), [("{kind=\"x\"}", 2), ("{kind=\"y\"}", 0)]);
    }
}
