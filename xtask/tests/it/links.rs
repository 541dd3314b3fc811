//! Links between the pages of the repository lead to files and headings that exist.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::sources::root;

#[test]
fn links_lead_to_files_and_headings() {
    let mut pages = Vec::new();
    find_pages(&root(), &mut pages);
    assert!(pages.len() > 20, "{pages:?}");
    let broken: Vec<_> = pages.iter().flat_map(|page| broken_links(page)).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

fn find_pages(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            if name != "target" && !name.starts_with('.') {
                find_pages(&path, found);
            }
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

fn broken_links(page: &Path) -> Vec<String> {
    let text = prose(page);
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let inside = links.filter(|link| !link.contains("://") && !link.starts_with("mailto:"));
    let broken = inside.filter(|link| {
        let (path, heading) = link.split_once('#').unwrap_or((link, ""));
        let target = if path.is_empty() { page.to_path_buf() } else { page.with_file_name(path) };
        !target.exists() || (!heading.is_empty() && !headings(&target).contains(heading))
    });
    broken.map(|link| format!("{}: {link}", page.display())).collect()
}

/// A page without its blocks of code.
fn prose(page: &Path) -> String {
    fs::read_to_string(page).unwrap().split("```").step_by(2).collect()
}

/// The anchors of a page's headings, as GitHub names them.
fn headings(page: &Path) -> BTreeSet<String> {
    let text = prose(page);
    let titles = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#'));
    let anchor = |title: &str| {
        let kept = title.trim().chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
    };
    titles.map(anchor).collect()
}
