//! Few files of a crate import each other, directly or by way of others.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::sources::{code, files, root};

/// Files that may import each other in one circle: two halves of one thing, and what both need.
const MAX_CIRCLE: usize = 3;

/// A module by its path below the crate, such as `["sessions", "pool"]`.
type Module = Vec<String>;

/// What one module imports: paths as written, and whether they are exported again.
struct Imports {
    paths: Vec<(Vec<String>, bool)>,
}

#[test]
fn no_large_circle_of_files_imports_each_other() {
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let name = entry.unwrap().path();
        let modules = modules(&name.join("src"));
        let arrows = arrows(&modules);
        for module in arrows.keys() {
            let circle = circle(&arrows, module);
            assert!(circle.len() <= MAX_CIRCLE, "{}: a circle of imports: {circle:?}", name.display());
        }
    }
}

fn modules(src: &Path) -> BTreeMap<Module, Imports> {
    let mut found = Vec::new();
    files(src, &mut found);
    let module = |file: &Path| {
        let path = file.strip_prefix(src).unwrap().with_extension("");
        let mut names: Module = path.iter().map(|name| name.to_str().unwrap().to_owned()).collect();
        names.pop_if(|last| ["mod", "lib", "main"].contains(&last.as_str()));
        names
    };
    found.iter().map(|file| (module(file), imports(&code(file)))).collect()
}

fn imports(code: &str) -> Imports {
    let mut paths = Vec::new();
    for statement in code.split(';') {
        // What stands before the last `use` is the end of an item.
        let Some((before, tree)) = statement.rsplit_once("use ") else { continue };
        let exported = before.trim_end().ends_with("pub") || before.trim_end().ends_with(')');
        expand(&[], tree, &mut |path| paths.push((path, exported)));
    }
    let inline = code.match_indices("crate::").map(|(index, _)| &code[index..]);
    for path in inline {
        let end = path.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(path.len());
        let names = path[..end].split("::").filter(|name| !name.is_empty());
        paths.push((names.map(str::to_owned).collect(), false));
    }
    Imports { paths }
}

/// Each path of a tree such as `a::{b, c::{d, e}}`.
fn expand(prefix: &[String], tree: &str, found: &mut impl FnMut(Vec<String>)) {
    let (mut depth, mut start) = (0, 0);
    let mut branches = Vec::new();
    for (index, character) in tree.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                branches.push(&tree[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    branches.push(&tree[start..]);
    // `::name` is another crate.
    for branch in branches.into_iter().filter(|branch| !branch.trim().starts_with("::")) {
        let (path, rest) = branch.split_once('{').unwrap_or((branch, ""));
        let path = path.split(" as ").next().unwrap();
        let names = path.split("::").map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
        let path: Vec<_> = prefix.iter().cloned().chain(names).collect();
        match rest.rsplit_once('}') {
            Some((inner, _)) => expand(&path, inner, found),
            None if path.len() > prefix.len() => found(path),
            None => {}
        }
    }
}

/// Which other modules each module imports something from, followed to where that thing lives.
fn arrows(modules: &BTreeMap<Module, Imports>) -> BTreeMap<Module, BTreeSet<Module>> {
    let of_module = |(module, imports): (&Module, &Imports)| {
        let all = imports.paths.iter().filter_map(|(path, exported)| {
            let (target, named) = resolve(modules, module, path, 0)?;
            // `pub use` of a child is no arrow upwards, nor is the list of what a crate exports.
            (target != *module && !module.is_empty() && (named || !exported)).then_some(target)
        });
        (module.clone(), all.collect())
    };
    modules.iter().map(of_module).collect()
}

/// The module that a path leads to, and whether it names something in it.
fn resolve(
    modules: &BTreeMap<Module, Imports>,
    from: &Module,
    path: &[String],
    depth: usize,
) -> Option<(Module, bool)> {
    let supers = path.iter().take_while(|name| *name == "super").count();
    let (mut at, mut rest) = match path.first()?.as_str() {
        "crate" => (Vec::new(), &path[1..]),
        "self" => (from.clone(), &path[1..]),
        "super" => (from[..from.len().checked_sub(supers)?].to_vec(), &path[supers..]),
        first => {
            let child = [from.as_slice(), &[first.to_owned()]].concat();
            modules.contains_key(&child).then_some((from.clone(), path))?
        }
    };
    while let Some((first, others)) = rest.split_first() {
        let child = [at.as_slice(), std::slice::from_ref(first)].concat();
        if !modules.contains_key(&child) {
            let mut again = modules.get(&at)?.paths.iter().filter(|(_, exported)| *exported);
            let again = again.find(|(path, _)| path.last() == Some(first)).filter(|_| depth < 6);
            let followed = again.and_then(|(path, _)| resolve(modules, &at, path, depth + 1));
            return Some(followed.map_or((at, true), |(module, _)| (module, true)));
        }
        (at, rest) = (child, others);
    }
    Some((at, false))
}

/// The modules that import each other in a circle, of which this is one; none if it is in none.
fn circle(arrows: &BTreeMap<Module, BTreeSet<Module>>, module: &Module) -> Vec<Module> {
    let reached = |from: &Module| {
        let (mut reached, mut next) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(at) = next.pop() {
            for below in arrows.get(&at).into_iter().flatten() {
                if reached.insert(below.clone()) {
                    next.push(below.clone());
                }
            }
        }
        reached
    };
    let below = reached(module);
    if !below.contains(module) {
        return Vec::new();
    }
    below.into_iter().filter(|other| reached(other).contains(module)).collect()
}
