//! The formats in which metrics are sent.

/// A text format for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// The text format of Prometheus, version 0.0.4, which every program that reads metrics understands.
    #[default]
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The media type, for `Content-Type`.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The format that `Accept` asks for (RFC 9110 section 12.5.1). OpenMetrics, if it is named there and no less welcome than plain
    /// text: `*/*` alone does not ask for it.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        let (mut open_metrics, mut plain) = (0, 0);
        for range in accept.split(',') {
            let (name, parameters) = range.split_once(';').unwrap_or((range, ""));
            let weight = weight(parameters);
            match name.trim().to_ascii_lowercase().as_str() {
                "application/openmetrics-text" => open_metrics = weight.max(open_metrics),
                "text/plain" => plain = weight.max(plain),
                _ => {}
            }
        }
        if open_metrics > 0 && open_metrics >= plain { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// Puts the text of an OpenMetrics registry, without its end, into this format.
    pub(super) fn of_open_metrics(self, mut text: String) -> String {
        match self {
            Self::OpenMetrics => {
                text.push_str("# EOF\n");
                text
            }
            Self::Prometheus => prometheus(&text),
        }
    }
}

/// The weight of a media range in thousandths: 1000 without `q`.
fn weight(parameters: &str) -> u32 {
    let q = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    let Some(q) = q else { return 1000 };
    let Some((whole, rest)) = q.split_at_checked(1) else { return 0 };
    let thousandths = format!("{:0<3.3}", rest.strip_prefix('.').unwrap_or_default());
    match (whole, thousandths.parse::<u32>()) {
        ("0", Ok(thousandths)) => thousandths,
        ("1", Ok(0)) => 1000,
        _ => 0,
    }
}

/// Translates OpenMetrics to the older text format: there, a counter is described under its whole name, with `_total`, and units have
/// no lines.
fn prometheus(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len() + 1024);
    let mut help = None;
    for line in open_metrics.split_inclusive('\n') {
        if line.starts_with("# UNIT ") {
            continue;
        }
        if let Some(described) = line.strip_prefix("# HELP ") {
            help = described.split_once(' ');
            continue;
        }
        let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) else {
            text.push_str(line);
            continue;
        };
        let suffix = if kind.trim_end() == "counter" { "_total" } else { "" };
        if let Some((_, words)) = help.take() {
            text.extend(["# HELP ", name, suffix, " ", words]);
        }
        text.extend(["# TYPE ", name, suffix, " ", kind]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_is_sent_to_those_who_ask_for_it() {
        let prometheus_2_42 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prefers_text = "text/plain;version=0.0.4;q=0.5,application/openmetrics-text;q=0.25";
        for (accept, format) in [
            ("", Format::Prometheus),
            ("*/*", Format::Prometheus),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Prometheus),
            (prometheus_2_42, Format::OpenMetrics),
            (prefers_text, Format::Prometheus),
            ("Application/OpenMetrics-Text ; Q=0.5 , text/plain;q=0.5", Format::OpenMetrics),
            ("application/openmetrics-text;q=0", Format::Prometheus),
            ("application/openmetrics-text;q=x", Format::Prometheus),
            ("application/openmetrics-text;q=", Format::Prometheus),
            ("application/openmetrics-text;q=é", Format::Prometheus),
            (";;,,=;q", Format::Prometheus),
        ] {
            assert_eq!(Format::accepted(accept), format, "{accept}");
        }
        for (parameters, thousandths) in
            [("", 1000), ("q=1", 1000), ("q=1.000", 1000), ("q=0.5", 500), ("v=1; q=0.125", 125), ("q=2", 0)]
        {
            assert_eq!(weight(parameters), thousandths, "{parameters}");
        }
    }

    #[test]
    fn counters_are_described_under_their_whole_name() {
        let open_metrics = "# HELP a_bytes What.\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\na_bytes_total{x=\"y\"} 1\n\
                            # HELP b Now.\n# TYPE b gauge\nb 2\n";
        let text = Format::Prometheus.of_open_metrics(open_metrics.to_owned());
        assert_eq!(
            text,
            "# HELP a_bytes_total What.\n# TYPE a_bytes_total counter\na_bytes_total{x=\"y\"} 1\n\
             # HELP b Now.\n# TYPE b gauge\nb 2\n"
        );
        assert!(Format::OpenMetrics.of_open_metrics(open_metrics.to_owned()).ends_with("b 2\n# EOF\n"));
    }
}
