//! Our own proxy on a test SAM bridge, which connects streams to the sites of this machine.

use anyhow::Result;
use i2p_sam::Bridge;
use lab::{ports::free_port, proxy::Proxy};
use programs::Invocation;
use sam_testkit::{Act, TestBridge, destination};

use super::{I2P_NAMES, Running, Setup, local};

pub(crate) async fn start(setup: &Setup) -> Result<Running> {
    let bridge = TestBridge::start().await;
    let [host, _] = I2P_NAMES;
    let known = format!("NAMING REPLY RESULT=OK NAME={host} VALUE={}", destination());
    bridge.on(&format!("NAMING LOOKUP NAME={host}"), [Act::line(&known)]);
    bridge.on("STREAM CONNECT", [Act::Dial]);
    let program = setup.workspace.proxy();
    let address = local(free_port()?);
    let sam = Bridge::new(bridge.address());
    let proxy = Proxy::start(&program, &setup.lab, &sam, &address.to_string(), "").await?;
    let version = Invocation::new(&program, &setup.lab).arg("--version").output()?;
    let version = version.trim().trim_start_matches("i2p-socks ").to_owned();
    Ok(Running { address, version, names: I2P_NAMES, _parts: vec![Box::new(proxy), Box::new(bridge)] })
}
