//! `docs/architecture.md` is true: the files that it names exist, and the rooms of a crate import what it says.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use super::sources::{code, files, root};

/// The rooms of a crate, and which other rooms each imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

fn page() -> String {
    fs::read_to_string(root().join("docs/architecture.md")).unwrap()
}

#[test]
fn every_file_that_the_page_names_exists() {
    let page = page();
    let code = page.split("```").step_by(2).flat_map(|text| text.split('`').skip(1).step_by(2));
    let paths: Vec<_> = code.filter(|code| code.contains('/') && !code.contains([' ', '|'])).collect();
    assert!(paths.len() > 60, "{paths:?}");
    let missing: Vec<_> = paths.into_iter().filter(|path| !exists(path)).collect();
    assert!(missing.is_empty(), "docs/architecture.md names files that do not exist: {missing:#?}");
}

/// Whether a path of the page exists: below the repository, or below a crate where `crates/` and `src/` are left out.
fn exists(path: &str) -> bool {
    let root = root();
    let in_crate = path.split_once('/').map(|(name, rest)| (root.join("crates").join(name), rest));
    root.join(path).exists()
        || in_crate
            .is_some_and(|(name, rest)| name.join("src").join(rest).exists() || name.join(rest).exists())
}

#[test]
fn rooms_import_what_the_page_says() {
    let page = page();
    let crates: Vec<_> = page.split("\n### ").skip(1).collect();
    assert!(crates.len() >= 3);
    for text in crates {
        let name = text.lines().next().unwrap();
        let documented = documented(text);
        assert_eq!(documented, actual(name), "{name}: left, docs/architecture.md; right, the sources");
        assert_downwards(name, &documented);
    }
}

/// The table of a crate: `| room | what it does | imports |`.
fn documented(text: &str) -> Imports {
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<_> = row.split('|').collect();
        (names(cells[1]).remove(0), names(cells[3]).into_iter().collect())
    })
    .collect()
}

/// What the sources of a crate import, tests left out.
fn actual(name: &str) -> Imports {
    let src = root().join("crates").join(name).join("src");
    let mut imports = Imports::new();
    for entry in fs::read_dir(&src).unwrap() {
        let path = entry.unwrap().path();
        let room = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if ["main", "lib"].contains(&room.as_str()) {
            continue;
        }
        let mut found = Vec::new();
        files(&path, &mut found);
        let imported = found.iter().flat_map(|file| imported(&code(file)));
        let others = imported.filter(|other| *other != room).collect();
        imports.insert(room, others);
    }
    imports
}

/// The first names behind each `crate::`, also of several in braces.
fn imported(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (index, _) in code.match_indices("crate::") {
        let rest = &code[index + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => names.extend(first_names(list)),
            None => names.extend(first_name(rest)),
        }
    }
    names
}

/// The first name of each path in a list up to its closing brace.
fn first_names(list: &str) -> Vec<String> {
    let (mut depth, mut outer) = (0, String::new());
    for character in list.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            _ if depth == 0 => outer.push(character),
            _ => {}
        }
    }
    outer.split(',').filter_map(first_name).collect()
}

fn first_name(path: &str) -> Option<String> {
    let name: String = path.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// No room imports itself by way of others.
fn assert_downwards(name: &str, imports: &Imports) {
    for room in imports.keys() {
        let (mut reached, mut next) = (BTreeSet::new(), vec![room]);
        while let Some(at) = next.pop() {
            for below in imports.get(at).into_iter().flatten() {
                assert_ne!(below, room, "{name}: {room} imports itself by way of {at}");
                if reached.insert(below) {
                    next.push(below);
                }
            }
        }
    }
}
