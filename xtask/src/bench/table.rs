//! The results as tables in Markdown.

use super::{
    measure::{Measure, Results},
    plan::Plan,
    statistics::{Spread, shown},
    subjects::Subject,
    targets::{self, Target},
};

/// All subjects beside each other, ours with its ratios.
pub(crate) fn results(results: &Results) -> String {
    let others = Subject::ALL.into_iter().filter(|subject| *subject != Subject::Ours);
    let titles: String = others.clone().map(|subject| format!(" {} |", subject.title())).collect();
    let mut text = format!("| | {} | to splice | to best peer |{titles}\n", Subject::Ours.title());
    text += &format!("|---|--:|--:|--:|{}\n", "--:|".repeat(others.clone().count()));
    for measure in results.measures().into_iter().filter(|measure| measure.is_cost()) {
        let ours = cell(results, measure, Subject::Ours);
        let [splice, peer] = [Some(Subject::Splice), results.best_peer(measure)]
            .map(|other| results.ratio(measure, Subject::Ours, other.filter(|_| measure.is_compared())?))
            .map(|ratio| ratio.map_or("–".into(), |ratio| format!("× {}", shown(ratio))));
        let others: String =
            others.clone().map(|subject| format!(" {} |", cell(results, measure, subject))).collect();
        text += &format!("| {measure} | {ours} | {splice} | {peer} |{others}\n");
    }
    text
}

/// The median, and the least and the greatest where there are several.
fn cell(results: &Results, measure: Measure, subject: Subject) -> String {
    match results.spread(measure, subject) {
        None => "–".into(),
        Some(Spread { median, least, greatest }) if least.total_cmp(&greatest).is_eq() => shown(median),
        Some(Spread { median, least, greatest }) => {
            format!("{} ({} to {})", shown(median), shown(least), shown(greatest))
        }
    }
}

/// The targets and how they were met.
pub(crate) fn targets(results: &Results, plan: &Plan) -> String {
    let mut text = String::from("| | target | measured | |\n|---|---|--:|---|\n");
    for target in targets::all(results, plan) {
        let verdict = target.verdict();
        let Target { what, limit, measured } = target;
        let measured = measured.map_or("–".into(), shown);
        text += &format!("| {what} | {limit} | {measured} | {verdict} |\n");
    }
    text
}

/// Both proxies that there are on the link with latency.
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

/// What the plot shows, in numbers: medians.
pub(crate) fn growth(results: &Results) -> String {
    let titles = Subject::ALL.into_iter().filter(|subject| subject.is_proxy());
    let header: String = titles.clone().map(|subject| format!(" {} |", subject.title())).collect();
    let mut text = format!("| |{header}\n|---|{}\n", "--:|".repeat(titles.clone().count()));
    let growth = results.measures().into_iter().filter(|measure| measure.is_growth() && !measure.is_book());
    for measure in growth {
        let median =
            |subject| results.spread(measure, subject).map_or("–".into(), |spread| shown(spread.median));
        let cells: String = titles.clone().map(|subject| format!(" {} |", median(subject))).collect();
        text += &format!("| {measure} |{cells}\n");
    }
    text
}

/// What the address book costs: ours alone has one.
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
    use crate::bench::measure::Address;

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
    fn a_row_has_spread_and_ratios() {
        let text = results(&measured());
        let row =
            "| connections per second | 5000 (4000 to 6000) | × 0.62 | × 2.50 | 8000 | – | 2000 | – | – |\n";
        assert!(text.contains(row), "{text}");
        assert!(text.contains("| size of the program, MB | 3.25 | – | – | – | – | – | – | – |\n"), "{text}");
        assert!(!text.contains("memory with"), "growth has a table of its own:\n{text}");
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
    fn the_first_byte_is_beside_that_of_i2pd() {
        let mut all = measured();
        let measure = Measure::FirstByte(Address::B32);
        for (subject, value) in [(Subject::Ours, 202.0), (Subject::I2pd, 200.0), (Subject::Ours, 206.0)] {
            all.record(measure, subject, value).unwrap();
        }
        let text = first_byte(&all);
        assert!(text.ends_with("| first byte by b32, ms | 204 (202 to 206) | 200 | × 1.010 |\n"), "{text}");
        assert_eq!(text.lines().count(), 3, "the others have tables of their own:\n{text}");
        assert!(!results(&all).contains("first byte") && !growth(&all).contains("first byte"));
    }

    #[test]
    fn growth_is_listed() {
        let text = growth(&measured());
        assert!(text.ends_with("| memory with 10 connections, MiB | 3.50 | – | – | – |\n"), "{text}");
    }

    #[test]
    fn the_book_has_a_table_of_its_own() {
        let mut all = measured();
        all.record(Measure::BookFound(1000), Subject::Ours, 5.25).unwrap();
        let text = book(&all);
        assert!(text.ends_with("| a name that is in a book of 1000 names, µs | 5.25 |\n"), "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(!growth(&all).contains("book") && !results(&all).contains("book"));
    }
}
