//! Decides whether the proxy has grown.

use std::{fmt, fs, path::PathBuf};

use anyhow::{Context, Result};

use crate::sample::Sample;

/// Earlier samples do not count for the trend.
const TREND_FROM_MINUTE: f64 = 10.0;
/// Fewer samples make no trend.
const MIN_TREND_SAMPLES: usize = 10;
/// A session has one file descriptor, for its control connection.
const DESCRIPTORS_PER_SESSION: u64 = 1;
/// The most tasks of a session: they keep it alive, listen to it and, for datagrams, read from it.
const TASKS_PER_SESSION: u64 = 4;
/// How many more file descriptors, threads and tasks there may be at the end, for connections of the admin endpoint.
const SPARE: u64 = 4;
/// How much anonymous memory may seem to grow in an hour.
const MAX_TREND_KIB: f64 = 8.0 * 1024.0;
/// How much resident memory may grow from the first quiet minute to the last one.
const MAX_GROWTH_KIB: u64 = 12 * 1024;

/// Samples in the order in which they were taken.
pub(super) struct Series {
    samples: Vec<Sample>,
    file: PathBuf,
}

impl Series {
    /// Starts without samples. All are written to `file`.
    pub(super) fn new(file: PathBuf) -> Self {
        Self { samples: Vec::new(), file }
    }

    /// Adds a sample and writes it to the file at once, so that it stays if the soak breaks off.
    pub(super) fn push(&mut self, sample: Sample) -> Result<()> {
        self.samples.push(sample);
        fs::write(&self.file, self.tsv()).with_context(|| format!("could not write {}", self.file.display()))
    }

    pub(super) fn len(&self) -> u64 {
        self.samples.len().try_into().unwrap_or(u64::MAX)
    }

    /// All samples, one in each line, separated by tabs.
    fn tsv(&self) -> String {
        let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join("\t") + "\n";
        let head = line(&Sample::HEAD.replace(" KiB", "-KiB"));
        head + &self.samples.iter().map(|sample| line(&sample.to_string())).collect::<String>()
    }

    /// Compares the two quiet minutes and computes the trend.
    pub(super) fn verdict(&self, baseline: &Sample, end: &Sample) -> Verdict {
        let trend = |of: fn(&Sample) -> u64| {
            let hours = |sample: &Sample| sample.load.as_secs_f64() / 3600.0;
            let late = self.samples.iter().filter(|sample| hours(sample) * 60.0 >= TREND_FROM_MINUTE);
            let points: Vec<_> = late.map(|sample| (hours(sample), of(sample) as f64)).collect();
            if points.len() < MIN_TREND_SAMPLES { None } else { slope(&points) }
        };
        let all = || self.samples.iter().chain([baseline, end]).map(|sample| sample.rss);
        Verdict {
            baseline: baseline.clone(),
            end: end.clone(),
            rss: (all().min().unwrap_or_default(), all().max().unwrap_or_default()),
            rss_trend: trend(|sample| sample.rss),
            anonymous_trend: trend(|sample| sample.anonymous),
            descriptors: self.samples.iter().map(|sample| sample.descriptors).max().unwrap_or_default(),
            tasks: self.samples.iter().map(|sample| sample.tasks).max().unwrap_or_default(),
        }
    }
}

/// The slope of the line through these points (least squares). Returns nothing if all points have the same x.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x_mean, y_mean) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|(x, _)| (x - x_mean).powi(2)).sum();
    let common: f64 = points.iter().map(|(x, y)| (x - x_mean) * (y - y_mean)).sum();
    (spread > 0.0).then(|| common / spread)
}

/// The comparison of the quiet minutes, and the trends.
pub(super) struct Verdict {
    baseline: Sample,
    end: Sample,
    rss: (u64, u64),
    rss_trend: Option<f64>,
    anonymous_trend: Option<f64>,
    descriptors: u64,
    tasks: u64,
}

impl Verdict {
    /// Returns whether the proxy has not grown.
    pub(super) fn is_good(&self) -> bool {
        self.findings().is_empty()
    }

    /// Lists what has grown.
    fn findings(&self) -> Vec<String> {
        let Self { baseline, end, .. } = self;
        let mut findings = Vec::new();
        let sessions = end.sessions.saturating_sub(baseline.sessions) * DESCRIPTORS_PER_SESSION;
        if end.descriptors > baseline.descriptors + sessions + SPARE {
            findings.push(format!("{} file descriptors, {} before", end.descriptors, baseline.descriptors));
        }
        for (what, count) in
            [("connections", end.connections), ("streams", end.streams), ("leases of sessions", end.leases)]
        {
            if count > 0 {
                findings.push(format!("{count} {what} without clients"));
            }
        }
        if end.threads > baseline.threads + SPARE {
            findings.push(format!("{} threads, {} before", end.threads, baseline.threads));
        }
        let sessions = end.sessions.saturating_sub(baseline.sessions) * TASKS_PER_SESSION;
        if end.tasks > baseline.tasks + sessions + SPARE {
            findings.push(format!("{} tasks, {} before", end.tasks, baseline.tasks));
        }
        if end.rss > baseline.rss + MAX_GROWTH_KIB {
            findings.push(format!("{} KiB resident, {} before", end.rss, baseline.rss));
        }
        if let Some(trend) = self.anonymous_trend.filter(|trend| *trend > MAX_TREND_KIB) {
            findings.push(format!("anonymous memory grows by {trend:.0} KiB an hour"));
        }
        findings
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}\n{} first quiet minute\n{} last quiet minute",
            Sample::HEAD,
            self.baseline,
            self.end
        )?;
        let Self { rss: (least, greatest), descriptors, tasks, .. } = self;
        writeln!(f, "RSS from {least} to {greatest} KiB, at most {descriptors} fds and {tasks} tasks")?;
        for (what, trend) in [("RSS", self.rss_trend), ("anonymous memory", self.anonymous_trend)] {
            match trend {
                Some(trend) => writeln!(f, "{what}: {trend:+.0} KiB an hour")?,
                None => writeln!(f, "{what}: too few samples for a trend")?,
            }
        }
        match self.findings().as_slice() {
            [] => write!(f, "verdict: no growth"),
            findings => write!(f, "verdict: GROWTH: {}", findings.join("; ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A sample for each minute, with this much anonymous memory in KiB and as much resident memory.
    fn series(memory: impl Fn(u64) -> u64) -> Series {
        let mut series = Series::new(PathBuf::new());
        for minute in 0..60 {
            let anonymous = memory(minute);
            let load = Duration::from_secs(minute * 60);
            series.samples.push(Sample { load, anonymous, rss: anonymous, ..quiet() });
        }
        series
    }

    fn quiet() -> Sample {
        Sample {
            descriptors: 20,
            rss: 20_000,
            anonymous: 5_000,
            threads: 3,
            tasks: 12,
            sessions: 3,
            ..Sample::default()
        }
    }

    #[test]
    fn the_slope_of_points_on_a_line_is_that_of_the_line() {
        let line: Vec<_> = (0..10).map(f64::from).map(|x| (x, 3.0 - 2.0 * x)).collect();
        assert!((slope(&line).unwrap() + 2.0).abs() < 1e-9);
        // Computed by hand: the means are 1 and 2, the sums 2 and 3.
        assert!((slope(&[(0.0, 1.0), (1.0, 1.0), (2.0, 4.0)]).unwrap() - 1.5).abs() < 1e-9);
        assert_eq!(slope(&[(1.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(slope(&[]), None);
    }

    #[test]
    fn a_trend_is_per_hour_and_ignores_the_first_minutes() {
        let verdict = series(|minute| if minute < 10 { minute * 5_000 } else { 50_000 + minute * 100 })
            .verdict(&quiet(), &quiet());
        let trend = verdict.anonymous_trend.unwrap();
        assert!((trend - 6_000.0).abs() < 1.0, "{trend}");
        assert!(verdict.is_good(), "{verdict}");
        assert_eq!(verdict.rss, (0, 55_900));
        assert!(!series(|minute| minute * 200).verdict(&quiet(), &quiet()).is_good());
        let mut few = series(|minute| minute * 200);
        few.samples.drain(..=60 - MIN_TREND_SAMPLES);
        assert_eq!(few.verdict(&quiet(), &quiet()).anonymous_trend, None);
    }

    #[test]
    fn what_is_still_open_is_growth() {
        let finding = |change: fn(&mut Sample)| {
            let mut end = quiet();
            change(&mut end);
            series(|_| 5_000).verdict(&quiet(), &end).findings().join("; ")
        };
        assert_eq!(finding(|_| ()), "");
        assert_eq!(finding(|end| end.descriptors += SPARE), "");
        assert_eq!(finding(|end| end.descriptors += SPARE + 1), "25 file descriptors, 20 before");
        assert_eq!(finding(|end| (end.descriptors, end.sessions) = (20 + SPARE + 1, 4)), "");
        assert_eq!(finding(|end| end.connections = 1), "1 connections without clients");
        assert_eq!(finding(|end| end.streams = 2), "2 streams without clients");
        assert_eq!(finding(|end| end.leases = 3), "3 leases of sessions without clients");
        assert_eq!(finding(|end| end.threads += SPARE + 1), "8 threads, 3 before");
        assert_eq!(finding(|end| end.tasks += SPARE), "");
        assert_eq!(finding(|end| end.tasks += SPARE + 1), "17 tasks, 12 before");
        let more = |end: &mut Sample| (end.tasks, end.sessions) = (12 + SPARE + TASKS_PER_SESSION, 4);
        assert_eq!(finding(more), "");
        assert_eq!(finding(|end| end.rss += MAX_GROWTH_KIB), "");
        assert_eq!(finding(|end| end.rss += MAX_GROWTH_KIB + 1), "32289 KiB resident, 20000 before");
    }

    #[test]
    fn the_file_has_a_line_for_each_sample_and_a_field_for_each_title() {
        let text = series(|_| 5_000).tsv();
        let fields: Vec<_> = text.lines().map(|line| line.split('\t').count()).collect();
        assert_eq!(fields, vec![12; 61]);
    }
}
