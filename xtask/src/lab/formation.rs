//! Forming a network of other people's routers.
//!
//! Now and then a private network does not come up: a router publishes no lease set, or tunnels are never built. That says
//! nothing about our program, so such a network is thrown away and formed once more, which is said. What is ours is never
//! retried.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::crash;

/// Forms a network with `form`, which gets a new directory for its files. If that fails, drops what it had started and forms
/// the network once more, in another directory.
///
/// `form` starts routers and waits until they reach each other. Our program has no part in it: its failure has to fail the
/// suite at once.
pub(crate) async fn formed<N>(
    what: &str,
    lab: &Path,
    mut form: impl AsyncFnMut(&Path) -> Result<N>,
) -> Result<N> {
    let first = new_directory(lab, "network-1")?;
    let error = match form(&first).await {
        Ok(network) => return Ok(network),
        Err(error) => error,
    };
    println!("{what} did not form; starting it once more: {error:#}");
    // A router that crashed went with its network: it does not excuse what fails on the next one.
    crash::forget();
    let second = new_directory(lab, "network-2")?;
    form(&second).await.with_context(|| format!("{what} did not form, twice"))
}

fn new_directory(lab: &Path, name: &str) -> Result<std::path::PathBuf> {
    let directory = lab.join(name);
    fs::create_dir_all(&directory).with_context(|| format!("could not make {}", directory.display()))?;
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, rc::Rc};

    use anyhow::bail;

    use super::*;

    /// Forms a network that fails so many times; gives the outcome and the directories it was given.
    async fn after_failures(failures: usize) -> (Result<usize>, Vec<String>) {
        let lab = tempfile::tempdir().unwrap();
        let mut directories = Vec::new();
        let formed = formed("the network", lab.path(), async |directory| {
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
    async fn there_is_no_third_time() {
        let (formed, directories) = after_failures(2).await;
        let error = format!("{:#}", formed.unwrap_err());
        assert_eq!(error, "the network did not form, twice: attempt 2 failed");
        assert_eq!(directories.len(), 2);
    }

    #[tokio::test]
    async fn the_first_network_has_gone_before_the_second_is_formed() {
        let lab = tempfile::tempdir().unwrap();
        let router = Rc::new(());
        let attempts = Cell::new(0);
        let formed = formed("the network", lab.path(), async |_| {
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
