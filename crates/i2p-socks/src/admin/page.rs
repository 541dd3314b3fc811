//! The status page: HTML without scripts, readable on a phone.

use std::fmt::{self, Write};

use crate::status::report::{
    DatagramReport, FailureReport, OutproxyReport, SessionReport, StatusReport, TunnelReport, counted,
    duration,
};

/// The page for a report.
pub(super) fn render(report: &StatusReport) -> String {
    let mut page = String::with_capacity(8 * 1024);
    // Writing to a string does not fail.
    let _ = write(&mut page, report);
    page
}

fn write(page: &mut String, report: &StatusReport) -> fmt::Result {
    let (class, state) = match report.state.as_str() {
        "ready" => ("good", "Ready: I2P tunnels are built, and clients are served."),
        "starting" => ("bad", "Starting: the router is building I2P tunnels, which can take minutes."),
        "idle" => ("good", "Idle: no client needs a session. The next client gets a new one."),
        "building" => ("good", "Building an I2P session: the router answers, and clients wait for it."),
        "no-router" => ("bad", "No session is open, and the router does not answer."),
        "stopping" => ("bad", "Stopping: transfers in progress may continue for a while."),
        _ => ("bad", "No I2P session: clients are waiting for the router."),
    };
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>i2p-socks: {}</title>\n<link rel=\"stylesheet\" href=\"/style.css\">\n</head>\n<body>\n\
         <header>\n<h1>i2p-socks</h1>\n<p class=\"{class}\">{state}</p>\n\
         <p class=\"faint\">Version {}, running for {}.</p>\n</header>\n<main>\n",
        Text(&report.state),
        Text(&report.version),
        duration(report.uptime),
    )?;
    report
        .warnings
        .iter()
        .try_for_each(|warning| writeln!(page, "<p class=\"bad\">Warning: {}.</p>", Text(warning)))?;
    if let Some(refused) = &report.refused_reload {
        writeln!(page, "<p class=\"bad\">{}.</p>", Text(&refused.line()))?;
    }
    for leak in &report.leaks {
        writeln!(page, "<p class=\"bad\">{}.</p>", Text(&leak.line()))?;
    }
    if let Some(failure) = &report.address_book_failure {
        writeln!(page, "<p class=\"bad\">Address book: {}.</p>", Text(failure))?;
    }
    if let Some(failure) = &report.router_failure {
        writeln!(page, "<p class=\"bad\">{}.</p>", Text(&failure.line()))?;
    }
    page.push_str("<h2>Tunnels</h2>\n");
    report.tunnels.iter().try_for_each(|tunnel| self::tunnel(page, tunnel, &report.state))?;
    page.push_str("<h2>I2P sessions</h2>\n");
    // It is not known before there is a router.
    if report.max_sessions > 0 {
        writeln!(page, "<p class=\"faint\">At most {}.</p>", report.max_sessions)?;
    }
    if report.sessions.is_empty() {
        page.push_str("<p>None. The next client gets a new one.</p>\n");
    }
    report.sessions.iter().try_for_each(|report| session(page, report))?;
    if let Some(router) = &report.own_router {
        let class = if router.state == "down" { "bad" } else { "faint" };
        writeln!(page, "<p class=\"{class}\">{}.</p>", Text(&router.line()))?;
    }
    if !report.outproxies.is_empty() {
        page.push_str("<h2>Outproxies</h2>\n");
    }
    report.outproxies.iter().try_for_each(|report| outproxy(page, report))?;
    page.push_str("<h2>Failures</h2>\n");
    if report.failures.is_empty() {
        page.push_str("<p>None yet.</p>\n");
    }
    report.failures.iter().try_for_each(|report| failure(page, report))?;
    page.push_str(
        "<h2>More</h2>\n<p><a href=\"/metrics\">Metrics</a>, <a href=\"/status.json\">this page as JSON</a>, and \
         <a href=\"/proxy.pac\">proxy.pac</a> for browsers.</p>\n</main>\n</body>\n</html>\n",
    );
    Ok(())
}

fn tunnel(page: &mut String, report: &TunnelReport, whole: &str) -> fmt::Result {
    writeln!(page, "<article>\n<h3>{}</h3>", Text(&report.name))?;
    if let Some(lacks) = report.lacks(whole) {
        writeln!(page, "<p class=\"bad\">{lacks}</p>")?;
    }
    if let Some(failed) = report.failed() {
        let trouble = report.trouble.as_deref().unwrap_or_default();
        writeln!(page, "<p class=\"bad\">{failed}, the last one: {}</p>", Text(trouble))?;
    }
    page.push_str("<dl>\n<dt>listens on</dt><dd>");
    for (index, listener) in report.listeners.iter().enumerate() {
        write!(page, "{}<code>{}</code>", if index == 0 { "" } else { ", " }, Text(listener))?;
    }
    write!(
        page,
        "</dd>\n<dt>now</dt><dd>{}, {}</dd>\n\
         <dt>requests</dt><dd>{} succeeded, {} failed</dd>\n\
         <dt>relayed</dt><dd>{} sent, {} received</dd>\n",
        counted(report.connections, "connection"),
        counted(report.streams, "stream"),
        report.succeeded,
        report.failed,
        size(report.sent),
        size(report.received),
    )?;
    if let Some(refused) = report.refused_clients() {
        writeln!(page, "<dt>refused</dt><dd>{refused}</dd>")?;
    }
    report.datagrams.iter().try_for_each(|report| datagrams(page, report))?;
    page.push_str("</dl>\n</article>\n");
    Ok(())
}

fn datagrams(page: &mut String, report: &DatagramReport) -> fmt::Result {
    writeln!(
        page,
        "<dt>datagrams</dt><dd>{} sent ({}), {} received ({}); {} with UDP open</dd>",
        report.sent,
        size(report.sent_bytes),
        report.received,
        size(report.received_bytes),
        counted(report.associations, "client"),
    )?;
    if !report.dropped.is_empty() {
        page.push_str("<dt>dropped</dt><dd>");
        for (index, (reason, count)) in report.dropped.iter().enumerate() {
            write!(page, "{}{count} <code>{}</code>", if index == 0 { "" } else { ", " }, Text(reason))?;
        }
        page.push_str("</dd>\n");
    }
    if report.sessions.is_empty() {
        page.push_str("<dt>datagrams sent</dt><dd>none yet</dd>\n");
    }
    report.sessions.iter().try_for_each(|session| {
        let (origin, b32) = (session.origin(), Text(&session.b32));
        writeln!(page, "<dt>datagrams sent</dt><dd>{origin}: <code>{b32}</code></dd>")
    })
}

fn session(page: &mut String, report: &SessionReport) -> fmt::Result {
    let (class, state) = match (report.state.as_str(), report.spare) {
        ("ready", false) => ("good", "ready"),
        ("ready", true) => ("good", "ready for the next client"),
        ("building", _) => ("bad", "being built"),
        _ => ("bad", "failed, will be tried again soon"),
    };
    write!(page, "<article>\n<p class=\"{class}\">{state}</p>\n<dl>\n")?;
    if let Some(tunnel) = &report.tunnel {
        writeln!(page, "<dt>of tunnel</dt><dd>{}</dd>", Text(tunnel))?;
    }
    if let Some(seconds) = report.unready_for {
        writeln!(page, "<dt>not ready for</dt><dd>{}</dd>", duration(seconds))?;
    }
    if let Some(owner) = report.owner() {
        writeln!(page, "<dt>whose</dt><dd>{}</dd>", Text(&owner))?;
    } else if !report.kept_apart_by.is_empty() {
        writeln!(page, "<dt>kept apart by</dt><dd>{}</dd>", Text(&report.kept_apart_by.join(", ")))?;
    }
    if let Some(b32) = &report.b32 {
        writeln!(page, "<dt>our address</dt><dd><code>{}</code></dd>", Text(b32))?;
    }
    if let Some(failed) = report.failed() {
        writeln!(page, "<dt>why</dt><dd>{}</dd>", Text(&failed))?;
    }
    let uses = if report.used_by == 1 { "request or stream" } else { "requests and streams" };
    write!(
        page,
        "<dt>used by</dt><dd>{} {uses} (unused streams that are kept for the next request count, too)</dd>\n</dl>\n</article>\n",
        report.used_by
    )
}

fn outproxy(page: &mut String, report: &OutproxyReport) -> fmt::Result {
    write!(page, "<article>\n<h3>{}</h3>\n", Text(&report.name))?;
    match (report.left_alone_for, report.left_alone_by_some_for) {
        (None, None) => page.push_str("<p class=\"good\">available</p>\n"),
        (None, Some(seconds)) => {
            writeln!(
                page,
                "<p class=\"bad\">available, but skipped for up to {} by clients that it failed</p>",
                duration(seconds)
            )?;
        }
        (Some(seconds), _) => {
            writeln!(
                page,
                "<p class=\"bad\">skipped after repeated failures, tried again in {}</p>",
                duration(seconds)
            )?;
        }
    }
    write!(
        page,
        "<dl>\n<dt>requests</dt><dd>{} sent, {} opened, {} failed because of it</dd>\n",
        report.asked, report.opened, report.failed,
    )?;
    if !report.outcomes.is_empty() {
        page.push_str("<dt>outcomes</dt><dd>");
        for (index, (outcome, count)) in report.outcomes.iter().enumerate() {
            write!(page, "{}{count} <code>{}</code>", if index == 0 { "" } else { ", " }, Text(outcome))?;
        }
        page.push_str("</dd>\n");
    }
    page.push_str("</dl>\n</article>\n");
    Ok(())
}

fn failure(page: &mut String, report: &FailureReport) -> fmt::Result {
    write!(
        page,
        "<article>\n<h3>{}</h3>\n<p>{}</p>\n<p class=\"faint\"><code>{}</code>, tunnel {}: {}, the last {} ago</p>\n\
         </article>\n",
        Text(&report.what),
        Text(&report.advice),
        Text(&report.kind),
        Text(&report.tunnel),
        counted(report.count, "time"),
        duration(report.ago),
    )
}

/// Escapes text for HTML. A router can put anything into its messages.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            char if char.is_control() => f.write_char('\u{fffd}'),
            char => f.write_char(char),
        })
    }
}

/// A number of bytes, for people.
fn size(bytes: u64) -> String {
    let (mut whole, mut rest, mut unit) = (bytes, 0, "B");
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if whole < 1024 {
            break;
        }
        (rest, whole, unit) = (whole % 1024 * 10 / 1024, whole / 1024, larger);
    }
    if unit == "B" { format!("{whole} B") } else { format!("{whole}.{rest} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_routers_are_escaped() {
        let session = SessionReport {
            tunnel: None,
            state: "waiting".into(),
            unready_for: Some(61),
            client: Some(2),
            kept_apart_by: vec!["client".into(), "socks-auth".into()],
            b32: None,
            used_by: 0,
            spare: false,
            failed_attempts: 3,
            trouble: Some("<script>alert('x')</script>&\"\u{1b}".into()),
        };
        let outproxy = |name: &str, all: Option<u64>, some: Option<u64>| OutproxyReport {
            name: name.into(),
            asked: 3,
            opened: 1,
            failed: 2,
            outcomes: [("opened".into(), 1), ("timed_out".into(), 2)].into(),
            left_alone_for: all,
            left_alone_by_some_for: some,
        };
        let report = StatusReport {
            version: "1".into(),
            state: "no-session".into(),
            ready: false,
            uptime: 61,
            warnings: vec!["<b>".into()],
            refused_reload: None,
            router_failure: None,
            address_book_failure: Some("the <disk> is full".into()),
            tunnels: Vec::new(),
            sessions: vec![session],
            max_sessions: 8,
            virtual_addresses: 0,
            own_router: None,
            outproxies: vec![outproxy("exit", Some(60), None), outproxy("other", None, Some(60))],
            failures: Vec::new(),
            leaks: vec![crate::status::report::LeakReport {
                tunnel: "a".into(),
                kind: "host name".into(),
                cut: false,
                count: 2,
                ago: 5,
            }],
        };
        let page = render(&report);
        assert!(page.contains("available, but skipped for up to"), "{page}");
        assert!(page.contains("Warning: &lt;b&gt;."), "{page}");
        assert!(page.contains("Address book: the &lt;disk&gt; is full."), "{page}");
        assert!(!page.contains("<script") && !page.contains('\u{1b}'), "{page}");
        assert!(
            page.contains("3 attempts failed, the last one: &lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;\u{fffd}"),
            "{page}"
        );
        assert!(page.contains("running for 1m 1s"), "{page}");
        assert!(page.contains("<dt>not ready for</dt><dd>1m 1s</dd>"), "{page}");
        assert!(page.contains("<dd>for client 2, kept apart by client, socks-auth</dd>"), "{page}");
        assert!(page.contains("<h3>exit</h3>") && page.contains("tried again in 1m"), "{page}");
        assert!(page.contains("1 <code>opened</code>, 2 <code>timed_out</code>"), "{page}");
    }

    #[test]
    fn sizes_have_units() {
        for (bytes, text) in [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 1024 * 1024, "5.0 MiB")] {
            assert_eq!(size(bytes), text);
        }
    }
}
