//! Forms a network of other people's routers.
//!
//! Now and then a private network does not come up: a router does not publish a lease set, or never builds its tunnels. That
//! has nothing to do with our program. Such a network is thrown away and formed once more, and the suite prints that. A check of
//! our program is never retried.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::router::crash;

/// Forms a network with `form`, which gets a new directory for its files. If that fails, drops what it has started and forms
/// the network once more, in another directory.
///
/// `form` starts routers and waits until they reach each other. It must not use our program, whose failure has to fail the
/// suite at once.
pub async fn form<N>(what: &str, lab: &Path, mut form: impl AsyncFnMut(&Path) -> Result<N>) -> Result<N> {
    let first = new_directory(lab, "network-1")?;
    let error = match form(&first).await {
        Ok(network) => return Ok(network),
        Err(error) => error,
    };
    println!("{what} did not form; starting it once more: {error:#}");
    // A crash of the first network must not excuse a failure on the second one.
    crash::forget();
    let second = new_directory(lab, "network-2")?;
    form(&second).await.with_context(|| format!("{what} did not form, twice"))
}

fn new_directory(lab: &Path, name: &str) -> Result<PathBuf> {
    let directory = lab.join(name);
    fs::create_dir_all(&directory).with_context(|| format!("could not make {}", directory.display()))?;
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, rc::Rc};

    use anyhow::bail;

    use super::*;

    /// Forms a network that fails `failures` times. Returns the outcome and the directories that it got.
    async fn after_failures(failures: usize) -> (Result<usize>, Vec<String>) {
        let lab = tempfile::tempdir().unwrap();
        let mut directories = Vec::new();
        let formed = form("the network", lab.path(), async |directory| {
            assert!(directory.is_dir());
            directories.push(directory.file_name().unwrap().to_str().unwrap().to_owned());
            let attempt = directories.len();
            if attempt <= failures {
                bail!("attempt {attempt} failed")
            }
            Ok(attempt)
        })
        .await;
        (formed, directories)
    }

    #[tokio::test]
    async fn a_network_that_forms_is_formed_once() {
        let (formed, directories) = after_failures(0).await;
        assert_eq!((formed.unwrap(), directories), (1, vec!["network-1".to_owned()]));
    }

    #[tokio::test]
    async fn a_network_that_does_not_form_is_formed_once_more_in_another_directory() {
        let (formed, directories) = after_failures(1).await;
        assert_eq!((formed.unwrap(), directories.len()), (2, 2));
        assert_ne!(directories[0], directories[1]);
    }

    #[tokio::test]
    async fn there_is_no_third_attempt() {
        let (formed, directories) = after_failures(2).await;
        let error = format!("{:#}", formed.unwrap_err());
        assert_eq!(error, "the network did not form, twice: attempt 2 failed");
        assert_eq!(directories.len(), 2);
    }

    #[tokio::test]
    async fn the_first_network_is_dropped_before_the_second_one_is_formed() {
        let lab = tempfile::tempdir().unwrap();
        let router = Rc::new(());
        let attempts = Cell::new(0);
        let formed = form("the network", lab.path(), async |_| {
            assert_eq!(Rc::strong_count(&router), 1, "a router of the first network still runs");
            let started = Rc::clone(&router);
            attempts.set(attempts.get() + 1);
            if attempts.get() == 1 {
                bail!("it is not reached")
            }
            Ok(started)
        });
        formed.await.unwrap();
    }
}
