//! The results as tables in Markdown.

use crate::{
    measure::{Measure, Results},
    plan::Plan,
    statistics::{Spread, format_number},
    subject::Subject,
    targets::{self, Target},
};

/// All subjects side by side, ours with its ratios.
pub(crate) fn results(results: &Results) -> String {
    let others = Subject::ALL.into_iter().filter(|subject| *subject != Subject::Ours);
    let titles: String = others.clone().map(|subject| format!(" {} |", subject.title())).collect();
    let mut text = format!("| | {} | to splice | to best peer |{titles}\n", Subject::Ours.title());
    text += &format!("|---|--:|--:|--:|{}\n", "--:|".repeat(others.clone().count()));
    for measure in results.measures().into_iter().filter(|measure| measure.is_cost()) {
        let ours = cell(results, measure, Subject::Ours);
        let [splice, peer] = [Some(Subject::Splice), results.best_peer(measure)]
            .map(|other| results.ratio(measure, Subject::Ours, other.filter(|_| measure.is_compared())?))
            .map(|ratio| ratio.map_or("–".into(), |ratio| format!("× {}", format_number(ratio))));
        let others: String =
            others.clone().map(|subject| format!(" {} |", cell(results, measure, subject))).collect();
        text += &format!("| {measure} | {ours} | {splice} | {peer} |{others}\n");
    }
    text
}

/// The median, and the range unless all values are equal.
fn cell(results: &Results, measure: Measure, subject: Subject) -> String {
    spread(results.spread(measure, subject))
}

/// The same of these values.
pub(crate) fn spread(values: Option<Spread>) -> String {
    match values {
        None => "–".into(),
        Some(Spread { median, min, max }) if min.total_cmp(&max).is_eq() => format_number(median),
        Some(Spread { median, min, max }) => {
            format!("{} ({} to {})", format_number(median), format_number(min), format_number(max))
        }
    }
}

/// The targets and how they are met.
pub(crate) fn targets(results: &Results, plan: &Plan) -> String {
    let mut text = String::from("| | target | measured | |\n|---|---|--:|---|\n");
    for target in targets::all(results, plan) {
        let verdict = target.verdict();
        let Target { name, limit, measured } = target;
        let measured = measured.map_or("–".into(), format_number);
        text += &format!("| {name} | {limit} | {measured} | {verdict} |\n");
    }
    text
}

/// The two proxies on the link with latency.
pub(crate) fn first_byte(results: &Results) -> String {
    let [ours, theirs] = [Subject::Ours, Subject::I2pd];
    let mut text = format!("| | {} | {} | ratio |\n|---|--:|--:|--:|\n", ours.title(), theirs.title());
    for measure in results.measures().into_iter().filter(|measure| measure.is_first_byte()) {
        let [our, their] = [ours, theirs].map(|subject| cell(results, measure, subject));
        let ratio =
            results.ratio(measure, ours, theirs).map_or("–".into(), |ratio| format!("× {ratio:.3}"));
        text += &format!("| {measure} | {our} | {their} | {ratio} |\n");
    }
    text
}

/// Our proxy beside the one of an earlier commit.
pub(crate) fn comparison(results: &Results) -> String {
    let [now, before, splice] = [Subject::Ours, Subject::Before, Subject::Splice];
    let mut text = String::from("| | now | before | ratio | splice relay |\n|---|--:|--:|--:|--:|\n");
    for measure in results.measures() {
        let [ours, theirs, relay] = [now, before, splice].map(|subject| cell(results, measure, subject));
        let ratio = results.ratio(measure, now, before).map_or("–".into(), |ratio| format!("× {ratio:.2}"));
        text += &format!("| {measure} | {ours} | {theirs} | {ratio} | {relay} |\n");
    }
    text
}

/// The numbers of the plot: medians.
pub(crate) fn growth(results: &Results) -> String {
    let titles = Subject::ALL.into_iter().filter(|subject| subject.is_proxy());
    let header: String = titles.clone().map(|subject| format!(" {} |", subject.title())).collect();
    let mut text = format!("| |{header}\n|---|{}\n", "--:|".repeat(titles.clone().count()));
    let growth = results.measures().into_iter().filter(|measure| measure.is_growth() && !measure.is_book());
    for measure in growth {
        let median = |subject| {
            results.spread(measure, subject).map_or("–".into(), |spread| format_number(spread.median))
        };
        let cells: String = titles.clone().map(|subject| format!(" {} |", median(subject))).collect();
        text += &format!("| {measure} |{cells}\n");
    }
    text
}

/// The cost of the address book, which only our proxy has.
pub(crate) fn book(results: &Results) -> String {
    let mut text = String::from("| | |\n|---|--:|\n");
    for measure in results.measures().into_iter().filter(|measure| measure.is_book()) {
        text += &format!("| {measure} | {} |\n", cell(results, measure, Subject::Ours));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Address;

    fn measured() -> Results {
        let mut all = Results::default();
        for (measure, subject, value) in [
            (Measure::Rate, Subject::Ours, 6000.0),
            (Measure::Rate, Subject::Ours, 4000.0),
            (Measure::Rate, Subject::Dante, 2000.0),
            (Measure::Rate, Subject::Dante, 2000.0),
            (Measure::Rate, Subject::Splice, 8000.0),
            (Measure::Rate, Subject::Splice, 8000.0),
            (Measure::Size, Subject::Ours, 3.25),
            (Measure::Memory(10), Subject::Ours, 3.5),
        ] {
            all.record(measure, subject, value).unwrap();
        }
        all
    }

    #[test]
    fn a_row_has_range_and_ratios() {
        let text = results(&measured());
        let row =
            "| connections per second | 5000 (4000 to 6000) | × 0.62 | × 2.50 | 8000 | – | 2000 | – | – |\n";
        assert!(text.contains(row), "{text}");
        assert!(text.contains("| size of the program, MB | 3.25 | – | – | – | – | – | – | – |\n"), "{text}");
        assert!(!text.contains("memory with"), "growth has its own table:\n{text}");
        let bars: Vec<_> = text.lines().map(|line| line.matches('|').count()).collect();
        assert!(bars.iter().all(|count| *count == 10), "{text}");
    }

    #[test]
    fn targets_have_a_verdict() {
        let text = targets(&measured(), &Plan::FULL);
        let row = "| connections per second: ratio to dante | at least 2.00 | 2.50 | met |\n";
        assert!(text.contains(row), "{text}");
        assert!(text.contains("| – | not measured |\n"), "{text}");
    }

    #[test]
    fn the_first_byte_is_compared_with_i2pd() {
        let mut all = measured();
        let measure = Measure::FirstByte(Address::B32);
        for (subject, value) in [(Subject::Ours, 202.0), (Subject::I2pd, 200.0), (Subject::Ours, 206.0)] {
            all.record(measure, subject, value).unwrap();
        }
        let text = first_byte(&all);
        assert!(
            text.ends_with("| time to first byte by b32, ms | 204 (202 to 206) | 200 | × 1.010 |\n"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 3, "the other measures have their own tables:\n{text}");
        assert!(!results(&all).contains("first byte") && !growth(&all).contains("first byte"));
    }

    #[test]
    fn an_earlier_commit_is_compared_by_ratio() {
        let mut all = measured();
        for value in [4000.0, 4000.0] {
            all.record(Measure::Rate, Subject::Before, value).unwrap();
        }
        let text = comparison(&all);
        let row = "| connections per second | 5000 (4000 to 6000) | 4000 | × 1.25 | 8000 |\n";
        assert!(text.contains(row), "{text}");
    }

    #[test]
    fn growth_is_listed() {
        let text = growth(&measured());
        assert!(text.ends_with("| memory with 10 connections, MiB | 3.50 | – | – | – |\n"), "{text}");
    }

    #[test]
    fn the_address_book_has_its_own_table() {
        let mut all = measured();
        all.record(Measure::BookFound(1000), Subject::Ours, 5.25).unwrap();
        let text = book(&all);
        assert!(text.ends_with("| finding one of 1000 names, µs | 5.25 |\n"), "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(!growth(&all).contains("names") && !results(&all).contains("names"));
    }
}
