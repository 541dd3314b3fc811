//! The files that the page shows: the block below a line with the file's name, such as **`user.js`**.

/// The name and the text of each file.
pub(super) fn files(page: &str) -> Vec<(&str, &str)> {
    page.split("\n**`").skip(1).filter_map(file).collect()
}

fn file(rest: &str) -> Option<(&str, &str)> {
    let (name, rest) = rest.split_once("`**\n\n```")?;
    let (_language, rest) = rest.split_once('\n')?;
    let (text, _) = rest.split_once("```")?;
    Some((name, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_the_block_below_its_name() {
        let page = "text\n\n**`a/user.js`**\n\n```js\nfirst\n\nsecond\n```\n\n**bold**\n\n```\nother\n```\n\n**`b`**\n\n```\nb\n```\n";
        assert_eq!(files(page), [("a/user.js", "first\n\nsecond\n"), ("b", "b\n")]);
    }
}
