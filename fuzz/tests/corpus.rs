//! Replays the whole corpus with the stable compiler.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

#[test]
fn the_properties_hold_for_every_input_of_the_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut directories: Vec<_> = fs::read_dir(&corpus)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    directories.sort_unstable();
    let mut names = i2p_socks_fuzz::TARGETS.map(|(name, _)| name);
    names.sort_unstable();
    assert_eq!(directories, names, "the corpus has one directory for each target");
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
