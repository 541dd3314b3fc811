//! The tables of the page.

/// A row of a table.
#[derive(Debug, PartialEq)]
pub(super) struct Row {
    pub(super) program: String,
    pub(super) command: String,
}

/// The rows of the first table of a section.
pub(super) fn rows(page: &str, section: &str) -> Vec<Row> {
    let section = page.split_once(section).map_or("", |(_, rest)| rest);
    let lines =
        section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    lines.filter_map(row).collect()
}

/// A row whose second cell is a command.
fn row(line: &str) -> Option<Row> {
    let (program, command) = line.strip_prefix("| ")?.strip_suffix("` |")?.split_once(" | `")?;
    Some(Row { program: program.into(), command: command.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rows_with_a_command_are_run() {
        let page = "| no | `section` |\n## A\n\ntext\n\n| program | command |\n|---|---|\n| curl, twice | `curl -x a b` |\n\
                    | none | see there |\n\n| another | `table` |\n";
        let expected = Row { program: "curl, twice".into(), command: "curl -x a b".into() };
        assert_eq!(rows(page, "## A\n"), [expected]);
    }
}
