//! `run --router embedded`: the binary's own router as a member of a private network, from its first start.
#![cfg(feature = "embedded")]

use std::{fs, os::unix::fs::PermissionsExt, time::Instant};

use i2p_embedded::PrivateNetwork;
use i2p_sam::SessionOptions;

use crate::common::{LIMIT, Running, network};

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_router_reseeds_from_a_directory_and_resolves_names() {
    let network = PrivateNetwork::builder().start().await.unwrap();
    let options = SessionOptions::default().length(1).publish(true);
    let bridge = network::bridge(&network, 0);
    let service = bridge.create_session(&options).await.unwrap();

    let dir = tempfile::tempdir().unwrap();
    let reseed = dir.path().join("netDb");
    fs::create_dir(&reseed).unwrap();
    for (index, info) in network.router_infos().iter().enumerate() {
        fs::write(reseed.join(format!("routerInfo-{index}.dat")), info).unwrap();
    }
    let state = dir.path().join("state");
    fs::create_dir(&state).unwrap();
    let hosts = format!("# ours\nservice.i2p={}\nbroken line\n", service.destination().to_base64());
    fs::write(state.join("hosts.txt"), hosts).unwrap();
    let config = dir.path().join("i2p-socks.toml");
    let text = format!(
        "[router]\nreseed-file = '{}'\nnetwork-id = {}\n[session]\nlength = 1\n",
        reseed.display(),
        network.network_id()
    );
    fs::write(&config, text).unwrap();
    tokio::spawn(network::greet(service));

    let mut proxy = Running::start(&[
        "run",
        "--router",
        "embedded",
        "--listen",
        "127.0.0.1:0",
        "--state-dir",
        state.to_str().unwrap(),
        "--config",
        config.to_str().unwrap(),
    ]);
    let address = tokio::task::block_in_place(|| proxy.ready());
    let loaded = proxy.stderr_line("imported hosts.txt");
    assert!(loaded.contains("added=1") && loaded.contains("refused=1"), "{loaded}");
    proxy.stderr_line("got a list of 4 routers");
    proxy.stderr_line("is a private network, not I2P");
    let mode = fs::metadata(state.join("router")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);

    let begin = Instant::now();
    while !network::is_greeted(address, "service.i2p").await {
        assert!(begin.elapsed() < LIMIT, "the service was never reached; {}", proxy.said());
    }
    assert_eq!(network::socks5(address, "unknown.i2p").await.0, 4);
    assert_eq!(tokio::task::block_in_place(|| proxy.signal("INT")), Some(0), "{}", proxy.said());
}
