//! Names that must not leave, by any road.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use i2p_name::{B32, Destination};
use sam_testkit::{Act, Dialect, TestBridge, destination};
use tokio::{process::Command, time::sleep};

use crate::{
    client::{CONNECT, Client, RESOLVE},
    evil_outproxy::{EvilOutproxy, Language},
    evil_resolver::EvilResolver,
    proxy::{Proxy, Settings},
    target::Target,
    wait::{SHORTLY, until},
};

/// Ends of hosts that a person, or a program that decodes them, takes for `.i2p`.
const DISGUISES: &[&str] = &[
    "i2p",
    "I2P",
    "i2p.alt",
    "i2p\u{3002}",
    "ｉ２ｐ",
    "ⅰ2p",
    "i²p",
    "ⓘ②ⓟ",
    "𝗂𝟤𝗉",
    "i\u{ad}2p",
    "i2p\u{200b}",
    "\u{456}2p",
    "i2\u{440}",
    "\u{3b9}2\u{3c1}",
    "\u{4cf}2p",
    "i२p",
    "i๒p",
    "\u{ed}2p",
    "i2\u{1e57}",
    "i\u{301}2p",
    "l2p",
    "12p",
    "i2p_",
    "_i2p",
    "i2p-",
    "-i2p",
    "i-2-p",
    "i2p._",
    "i2p.-",
    "i2p_.alt",
    "i2p.\u{430}lt",
    "i2p.a1t",
    "xn--i2p-",
    "XN--I2P-",
    "xn--2p-goc",
    "xn--2p-mja",
    "xn--i2-mmc",
    "xn--xn--i2p--",
    "xn--i2p-.alt",
    "i2p.xn--alt-",
    "i2p\u{2bc}",
    "i2p\u{1f4a9}",
];

/// An outproxy that every route leads to waits for a name that looks like one in I2P. RESOLVE is another way to ask.
pub(super) async fn disguises(target: &Target) -> Result<String> {
    let (bridge, outproxy) = (TestBridge::start().await, EvilOutproxy::start(Language::Socks5).await?);
    let route = "[[route]]\nhost = \"*\"\nvia = [\"evil\"]\n";
    let configuration = outproxy.definition("evil", Language::Socks5) + route;
    let proxy = Proxy::start(target, &bridge, &configuration).await?;
    let client = Client::local();
    for end in DISGUISES {
        for command in [CONNECT, RESOLVE] {
            // Refused or unknown: what counts is what the outproxy sees.
            client.ask(proxy.address(), command, &format!("secret.{end}"), 80).await?;
        }
    }
    let control = client.ask(proxy.address(), CONNECT, "example.com", 80).await?;
    ensure!(control.code == 0, "a host outside I2P is refused with code {}", control.code);
    let asked = outproxy.asked();
    ensure!(asked == ["example.com"], "the outproxy was asked for {asked:?}");
    Ok(format!("0 of {} disguises left", DISGUISES.len()))
}

/// Names of every kind, known and unknown, with a route and without one.
const ANY_NAMES: &[&str] = &[
    "secret.example",
    "secret.routed.example",
    "secret.onion",
    "secret.local",
    "secret",
    "secret.i2p",
    "secret.b32.i2p",
    "secret.i2p.alt",
    "secret.i2p_",
];

/// The resolver of this machine writes down what it is asked for.
pub(super) async fn system_resolver(target: &Target) -> Result<String> {
    let (bridge, outproxy) = (TestBridge::start().await, EvilOutproxy::start(Language::Socks5).await?);
    let resolver = EvilResolver::start().await?;
    let route = "[[route]]\nhost = \"*.routed.example\"\nvia = [\"evil\"]\n";
    let configuration = outproxy.definition("evil", Language::Socks5) + route;
    let proxy = Proxy::start(target, &bridge, &configuration).await?;
    for name in ANY_NAMES {
        for command in [CONNECT, RESOLVE] {
            Client::local().ask(proxy.address(), command, name, 80).await?;
        }
    }
    // Another program, which shows that the resolver is where programs ask.
    Command::new("getent").args(["hosts", "control.example"]).output().await.context("no getent")?;
    ensure!(resolver.queries_with("control") > 0, "this machine asks another resolver: see /etc/resolv.conf");
    let queries = resolver.queries_with("secret");
    ensure!(queries == 0, "the resolver was asked {queries} times for what a client wanted");
    Ok(format!("{} names asked for twice, 0 queries", ANY_NAMES.len()))
}

/// A bridge answers the lookup of a base32 address with a destination of its own, and waits for the datagram.
pub(super) async fn lying_lookup(target: &Target) -> Result<String> {
    let bridge = TestBridge::start_as(Dialect::I2pd245).await;
    let wanted = B32::from_hash([7; 32]).to_string();
    let lie: Destination = destination().parse().context("the kit's destination")?;
    let answer = format!("NAMING REPLY RESULT=OK NAME={wanted} VALUE={}", lie.to_base64());
    bridge.on(&format!("NAMING LOOKUP NAME={wanted}"), [Act::line(&answer)]);
    let configuration = "[[tunnel]]\nlisten = [\"127.0.0.1:0\"]\nudp = \"datagram\"\n";
    let proxy = Proxy::start(target, &bridge, configuration).await?;
    let client = Client::local();
    let association = client.associate(proxy.address()).await?;
    association.send(&wanted, 7, b"secret").await?;
    let looked_up = || bridge.commands().iter().any(|line| line.contains(&wanted));
    until("the address is looked up", SHORTLY, looked_up).await?;
    // The same road with an honest answer, which shows that the lie had time to arrive.
    association.send("echo.i2p", 7, b"honest").await?;
    until("the honest datagram arrives", SHORTLY, || has_arrived(&bridge, b"honest")).await?;
    ensure!(!has_arrived(&bridge, b"secret"), "the bridge got the datagram");
    Ok("the datagram for the lie was dropped".into())
}

fn has_arrived(bridge: &TestBridge, data: &[u8]) -> bool {
    bridge.datagrams().iter().any(|datagram| datagram.ends_with(data))
}

/// Reads the log of a program that is told to say everything but secrets.
pub(super) async fn feed_in_the_log(target: &Target) -> Result<String> {
    let bridge = TestBridge::start().await;
    let configuration = "[names]\nsubscriptions = [\"http://secretfeed.i2p/hosts.txt\"]\n";
    let mut sizes = Vec::new();
    for verbosity in ["-v", "-vv"] {
        let settings = Settings { configuration, verbosity: Some(verbosity), ..Settings::default() };
        let proxy = Proxy::start_with(target, &bridge, &settings).await?;
        // The update fails, because the name of the feed is unknown, and the command says so.
        let updated = proxy.command(&["names", "update"]).await?;
        let told = format!(
            "{}{}",
            String::from_utf8_lossy(&updated.stdout),
            String::from_utf8_lossy(&updated.stderr)
        );
        ensure!(told.contains("secretfeed"), "the update read no feed: {told}");
        sleep(Duration::from_millis(200)).await;
        let log = proxy.log();
        ensure!(!log.contains("secretfeed"), "the log with {verbosity} names the feed:\n{log}");
        sizes.push(log.len());
    }
    Ok(format!("logs of {sizes:?} bytes without the feed"))
}
