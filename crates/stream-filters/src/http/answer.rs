use super::Verdict;

/// Fields by which a site has the browser do something that the person does not see, on other sites or another network.
const DROPPED: [&str; 11] = [
    // Another address for the same site, which the browser would use from then on.
    "alt-svc",
    "alternate-protocol",
    // Reports to addresses that the site chooses.
    "nel",
    "report-to",
    "reporting-endpoints",
    "expect-ct",
    "public-key-pins",
    "public-key-pins-report-only",
    // Questions about the machine.
    "accept-ch",
    "accept-ch-lifetime",
    "critical-ch",
];

/// Decides on a field of an answer, on its way to the client.
#[must_use]
pub fn answer_field(name: &str) -> Verdict<'static> {
    match DROPPED.iter().any(|dropped| name.eq_ignore_ascii_case(dropped)) {
        true => Verdict::Drop,
        false => Verdict::Pass,
    }
}
