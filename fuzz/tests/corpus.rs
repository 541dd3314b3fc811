//! Replays the whole corpus on stable.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

#[test]
fn every_input_of_the_corpus_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut directories: Vec<_> = fs::read_dir(&corpus)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    directories.sort_unstable();
    let mut names = i2p_socks_fuzz::TARGETS.map(|(name, _)| name);
    names.sort_unstable();
    assert_eq!(directories, names, "a directory for each target, and no other");
    for (name, target) in i2p_socks_fuzz::TARGETS {
        let mut inputs = 0;
        for entry in fs::read_dir(corpus.join(name)).unwrap() {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            target(&fs::read(&path).unwrap());
            inputs += 1;
        }
        assert!(inputs > 0, "the corpus of {name} is empty");
    }
}
