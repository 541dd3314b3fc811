//! The section of `docs/performance.md` about these networks: an explanation, and a table for each version of i2pd.

/// The heading of the section.
const HEADING: &str = "## Lossy and slow networks\n";
/// The section that follows.
const NEXT_HEADING: &str = "## How it grows\n";
/// A heading of the table of a version begins so.
const TABLE: &str = "### i2pd ";
/// What a reader needs to judge the tables, and what was found by hand. The page shows it beside the results of any run.
const EXPLANATION: &str = include_str!("explanation.md");

/// The section with the tables of this page.
pub(crate) fn carry_over(page: &str) -> String {
    section(&tables(page))
}

/// The page with this table, which replaces an earlier one of the same version.
pub(crate) fn replace(page: &str, table: &str) -> String {
    let version = |table: &str| table.lines().next().map(str::to_owned);
    let mut tables = tables(page);
    tables.retain(|other| version(other) != version(table));
    tables.push(table);
    tables.sort_unstable();
    let start = page.find(HEADING).or_else(|| page.find(NEXT_HEADING)).unwrap_or(page.len());
    let end = page.find(NEXT_HEADING).unwrap_or(page.len());
    let [before, after] = [page.get(..start), page.get(end..)].map(Option::unwrap_or_default);
    format!("{before}{}{after}", section(&tables))
}

/// The tables of a page, each from its heading to its last line.
fn tables(page: &str) -> Vec<&str> {
    let Some((_, section)) = page.split_once(HEADING) else { return Vec::new() };
    let section = section.split_once(NEXT_HEADING).map_or(section, |(section, _)| section);
    let starts: Vec<_> = section.match_indices(TABLE).map(|(start, _)| start).collect();
    let ends = starts.iter().skip(1).copied().chain([section.len()]);
    starts.iter().zip(ends).filter_map(|(start, end)| section.get(*start..end)).map(str::trim_end).collect()
}

fn section(tables: &[&str]) -> String {
    let tables: String = tables.iter().map(|table| format!("\n{}\n", table.trim_end())).collect();
    format!("{HEADING}\n{EXPLANATION}{tables}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_replaces_that_of_its_version_and_keeps_the_others() {
        let page = format!("# Page\n\n{NEXT_HEADING}\nrest\n");
        let with = replace(&page, "### i2pd 2.59\n\n| new |\n");
        let with = replace(&with, "### i2pd 2.45\n\n| old |\n");
        let with = replace(&with, "### i2pd 2.45\n\n| 245 |\n");
        let end = "\n### i2pd 2.45\n\n| 245 |\n\n### i2pd 2.59\n\n| new |\n\n## How it grows\n\nrest\n";
        assert!(
            with.starts_with("# Page\n\n## Lossy and slow networks\n\n") && with.ends_with(end),
            "{with}"
        );
        assert!(!with.contains("| old |"), "{with}");
        assert!(with.contains(&carry_over(&with)), "the whole page keeps the section");
    }
}
