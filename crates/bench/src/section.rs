//! Sections of `docs/performance.md` that a command of their own writes: an explanation, and tables, such as one for each version of
//! i2pd.

/// A section.
pub(crate) struct Section {
    /// Its heading, and that of the section that follows.
    pub(crate) heading: &'static str,
    pub(crate) next_heading: &'static str,
    /// What a reader needs to judge the tables, and what was found by hand. The page shows it beside the results of any run.
    pub(crate) explanation: &'static str,
    /// The heading of a table begins so.
    pub(crate) table_heading: &'static str,
}

/// How the heading of a table begins that is for a version of i2pd.
pub(crate) const OF_I2PD: &str = "### i2pd ";

impl Section {
    /// The section with the tables of this page.
    pub(crate) fn carry_over(&self, page: &str) -> String {
        self.text(&self.tables(page))
    }

    /// The page with this table, which replaces an earlier one of the same version.
    pub(crate) fn replace(&self, page: &str, table: &str) -> String {
        let version = |table: &str| table.lines().next().map(str::to_owned);
        let mut tables = self.tables(page);
        tables.retain(|other| version(other) != version(table));
        tables.push(table);
        tables.sort_unstable();
        let find = |heading| page.find(heading);
        let start = find(self.heading).or_else(|| find(self.next_heading)).unwrap_or(page.len());
        let end = find(self.next_heading).unwrap_or(page.len());
        let [before, after] = [page.get(..start), page.get(end..)].map(Option::unwrap_or_default);
        format!("{before}{}{after}", self.text(&tables))
    }

    /// The tables of a page, each from its heading to its last line.
    fn tables<'a>(&self, page: &'a str) -> Vec<&'a str> {
        let Some((_, section)) = page.split_once(self.heading) else { return Vec::new() };
        let section = section.split_once(self.next_heading).map_or(section, |(section, _)| section);
        let starts: Vec<_> = section.match_indices(self.table_heading).map(|(start, _)| start).collect();
        let ends = starts.iter().skip(1).copied().chain([section.len()]);
        let tables = starts.iter().zip(ends).filter_map(|(start, end)| section.get(*start..end));
        tables.map(str::trim_end).collect()
    }

    fn text(&self, tables: &[&str]) -> String {
        let tables: String = tables.iter().map(|table| format!("\n{}\n", table.trim_end())).collect();
        format!("{}\n{}{tables}\n", self.heading, self.explanation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECTION: Section = Section {
        heading: "## Lossy and slow networks\n",
        next_heading: "## How it grows\n",
        explanation: "What it means.\n",
        table_heading: OF_I2PD,
    };

    #[test]
    fn a_table_replaces_that_of_its_version_and_keeps_the_others() {
        let page = format!("# Page\n\n{}\nrest\n", SECTION.next_heading);
        let with = SECTION.replace(&page, "### i2pd 2.59\n\n| new |\n");
        let with = SECTION.replace(&with, "### i2pd 2.45\n\n| old |\n");
        let with = SECTION.replace(&with, "### i2pd 2.45\n\n| 245 |\n");
        let end = "\n### i2pd 2.45\n\n| 245 |\n\n### i2pd 2.59\n\n| new |\n\n## How it grows\n\nrest\n";
        assert!(
            with.starts_with("# Page\n\n## Lossy and slow networks\n\n") && with.ends_with(end),
            "{with}"
        );
        assert!(!with.contains("| old |"), "{with}");
        assert!(with.contains(&SECTION.carry_over(&with)), "the whole page keeps the section");
    }
}
