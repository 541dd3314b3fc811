//! A first start needs other routers. If it finds none, the error says what to do.

use std::{
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use i2p_embedded::{EmbeddedRouter, Error, PrivateNetwork, Progress};

/// A missing HTTPS proxy cuts the reseeder off, on machines with and without internet.
const NO_PROXY_THERE: &str = "http://127.0.0.1:1";

#[test]
fn without_internet_the_start_fails_in_time_and_says_what_to_do() {
    let inside = std::env::var("HTTPS_PROXY").is_ok_and(|proxy| proxy == NO_PROXY_THERE);
    if !inside {
        let name = "reseed::without_internet_the_start_fails_in_time_and_says_what_to_do";
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env("HTTPS_PROXY", NO_PROXY_THERE)
            .env("https_proxy", NO_PROXY_THERE)
            .env_remove("NO_PROXY")
            .env_remove("no_proxy")
            .status();
        assert!(status.unwrap().success());
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let state = tempfile::tempdir().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let progress = Arc::clone(&seen);
        let begun = Instant::now();
        let error = EmbeddedRouter::builder(state.path())
            .on_progress(move |step| progress.lock().unwrap().push(step))
            .start()
            .await
            .unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(100));
        assert!(matches!(error, Error::Reseed { .. }), "{error}");
        let text = error.to_string();
        for part in [
            "reseed",
            "nothing in I2P can be reached",
            "internet",
            "--router sam",
            "`reseed-file` in `[router]`",
        ] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
        assert_eq!(*seen.lock().unwrap(), [Progress::AskingReseedServers]);
    });
}

async fn reseed_problem(file: &Path) -> String {
    let state = tempfile::tempdir().unwrap();
    let error = EmbeddedRouter::builder(state.path()).reseed_file(file).start().await.unwrap_err();
    assert!(error.to_string().contains(&file.display().to_string()), "{error}");
    match error {
        Error::ReseedFile { problem, .. } => problem,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_reseed_file_that_cannot_be_used_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("i2pseeds.su3");
    assert!(reseed_problem(&file).await.contains("No such file"));
    std::fs::write(&file, "<html>404</html>").unwrap();
    assert_eq!(reseed_problem(&file).await, "it is neither an su3 file nor a directory");
    for rest in [&[][..], &[0; 300], &[0xff; 300], &[0x10; 300]] {
        std::fs::write(&file, [b"I2Psu3", rest].concat()).unwrap();
        let problem = reseed_problem(&file).await;
        assert!(problem.contains("damaged"), "{problem}");
    }
}

#[tokio::test]
async fn routers_of_another_network_are_not_used() {
    let network = PrivateNetwork::builder().start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    for (index, info) in network.router_infos().iter().enumerate() {
        std::fs::write(dir.path().join(format!("routerInfo-{index}.dat")), info).unwrap();
    }
    assert_eq!(reseed_problem(dir.path()).await, "it holds no router that this one can use");
}
