//! How often the leak guard has warned of the programs of this suite.

use anyhow::{Context, Result, ensure};
use lab::{curl::Curl, proxy::ADMIN_URL, requests::fetch};

use crate::checklist::Checklist;

/// Checks that it has seen no address of this machine, and prints all warnings. Programs of mail and chat may have sent its name.
///
/// Later checks fetch pages of a host outside I2P, which is this machine as well: they do send its address.
pub(crate) async fn check(checklist: &mut Checklist, curl: &Curl) {
    checklist
        .check_with_result("the leak guard has seen no address in what programs send", warnings(curl))
        .await;
}

async fn warnings(curl: &Curl) -> Result<String> {
    let page = fetch(curl, &[&format!("{ADMIN_URL}metrics")]).await?;
    let page = String::from_utf8(page).context("the metrics are not text")?;
    let connections: u64 = values(&page, "i2p_socks_connections_total").map(|(_, value)| value).sum();
    let warnings: Vec<_> = values(&page, "i2p_socks_leaks_total").filter(|(_, value)| *value > 0).collect();
    let of_addresses = warnings.iter().any(|(labels, _)| labels.contains("address"));
    ensure!(!of_addresses && connections > 0, "{warnings:?} in {connections} connections");
    let count: u64 = warnings.iter().map(|(_, value)| value).sum();
    Ok(format!(": {count} warnings in {connections} connections {warnings:?}"))
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
