//! What hosts behind the gateway can do, and what leaves meanwhile.
//!
//! Commands on hosts block their thread. The runtime has others for the router and the site.

use std::{fs, net::UdpSocket, path::Path, process::Command, thread, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use lab::{
    namespace::host::{Cable, Host},
    nftables, shell,
};

use crate::{
    proxy::{self, SITE},
    uplink::Uplink,
};

/// The configuration of `docs/gateway.md`, for both recipes.
const CONFIGURATION: &str = "[[tunnel]]\nname = \"lan\"\nopen-to-others = true\n\
    listen = [\"redirect:192.168.7.1:4451\", \"dns:192.168.7.1:5353\", \"redirect:[fd07::1]:4451\", \"dns:[fd07::1]:5353\"]\n\
    [[tunnel]]\nname = \"box\"\nopen-to-others = true\n\
    listen = [\"redirect:10.77.0.1:4451\", \"dns:10.77.0.1:5353\"]\n\
    [[tunnel]]\nname = \"tproxy\"\nopen-to-others = true\n\
    listen = [\"tproxy:10.78.0.1:4451\", \"dns:10.78.0.1:53\"]\n";
const LISTENERS: usize = 8;

/// Rules for a listener of the other kind, which somebody has written by hand. They do not change the address of a connection, so
/// its packets need a route to this machine.
const TPROXY_RULES: &str = "table inet by_hand {\n\
    chain forged_senders {\n type filter hook prerouting priority raw;\n\
    iifname \"box1\" fib saddr . iif oif missing drop\n }\n\
    chain divert {\n type filter hook prerouting priority mangle;\n\
    iifname \"box1\" tcp dport != 53 fib daddr type != local tproxy ip to 10.78.0.1:4451 meta mark set 1 accept\n }\n\
    chain dns {\n type nat hook prerouting priority dstnat;\n\
    iifname \"box1\" meta l4proto { tcp, udp } th dport 53 dnat ip to 10.78.0.1:53\n }\n\
    chain forward {\n type filter hook forward priority filter;\n iifname \"box1\" reject\n }\n }\n";

/// Exit codes of curl: the name does not exist; the connection was reset, before or after curl has seen that it was there.
const NOT_RESOLVED: &[i32] = &[6];
const RESET: &[i32] = &[7, 56];

/// How long a real router may take to build tunnels for a host.
const TUNNELS_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a packet of a host may take to the gateway.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends what a host without an address sends to find a server of DHCP, in Python.
const ASK_FOR_ADDRESS: &str = "from socket import *; s = socket(AF_INET, SOCK_DGRAM); \
    s.setsockopt(SOL_SOCKET, SO_BROADCAST, 1); s.setsockopt(SOL_SOCKET, SO_BINDTODEVICE, b\"eth0\"); \
    s.bind((\"0.0.0.0\", 68)); s.sendto(b\"address?\", (\"255.255.255.255\", 67))";

/// What a host tries that must not leave, by address: TCP and UDP, to the outside and to the gateway's neighbour. Nobody answers
/// there, so only the counter of the uplink tells whether it has left.
const BY_ADDRESS: [&str; 7] = [
    "curl -s -m 1 http://198.51.100.7/",
    "curl -s -m 1 http://192.0.2.2/",
    "curl -s -m 1 'http://[2001:db8:1::7]/'",
    "curl -s -m 1 'http://[fd91:cbed:4d7e::1]/'",
    "curl -s -m 1 tftp://198.51.100.7/x",
    "curl -s -m 1 'tftp://[2001:db8:1::7]/x'",
    "ping -c 1 -W 1 198.51.100.7",
];

/// The same, by a name that nobody may find. DNS is asked over UDP and over TCP.
const BY_NAME: [&str; 3] = [
    "curl -s -m 4 http://example.com/",
    "RES_OPTIONS='timeout:1 attempts:1' getent hosts example.com",
    "RES_OPTIONS=use-vc timeout 1 getent hosts example.com",
];

/// Senders that are somebody else: an answer to them would leave.
const FORGED: [&str; 2] = ["203.0.113.66/32", "2001:db8:66::66/128"];

/// What a host sends to the gateway itself, so that it answers: to a closed port of UDP and of TCP, and an echo request.
fn to_gateway(router: &str) -> [String; 3] {
    let host = if router.contains(':') { format!("[{router}]") } else { router.to_owned() };
    [
        format!("curl -s -m 1 'tftp://{host}/x'"),
        format!("curl -s -m 1 'http://{host}:9/'"),
        format!("ping -c 1 -W 1 {router}"),
    ]
}

pub(crate) async fn run(program: &Path, lab: &Path) -> Result<()> {
    let uplink = Uplink::new(lab)?;
    shell::run("ip link add br0 address 02:00:00:00:07:01 type bridge && ip link set br0 up")?;
    shell::run("ip address add 192.168.7.1/24 dev br0 && ip address add fd07::1/64 dev br0 nodad")?;
    let on_bridge = |name, port, addresses: &'static [&'static str]| {
        let routers: &[&str] = &["192.168.7.1", "fd07::1"];
        Host::new(name, lab, &Cable { port, bridge: Some("br0"), addresses, routers })
    };
    let anna = on_bridge("anna", "lan1", &["192.168.7.11/24", "fd07::11/64"])?;
    let bert = on_bridge("bert", "lan2", &["192.168.7.12/24", "fd07::12/64"])?;
    let cable = Cable { port: "box0", bridge: None, addresses: &["10.77.0.2/30"], routers: &["10.77.0.1"] };
    let namespace = Host::new("namespace", lab, &cable)?;
    shell::run("ip address add 10.77.0.1/30 dev box0")?;
    let cable = Cable { port: "box1", bridge: None, addresses: &["10.78.0.2/30"], routers: &["10.78.0.1"] };
    let tproxied = Host::new("tproxied", lab, &cable)?;
    shell::run("ip address add 10.78.0.1/30 dev box1")?;
    shell::run("ip rule add fwmark 1 lookup 100 && ip route add local default dev lo table 100")?;

    check_that_packets_are_counted(&anna, &uplink)?;
    let file = lab.join("i2p-socks.toml");
    fs::write(&file, CONFIGURATION)?;
    for (interface, tunnel) in [("br0", "lan"), ("box0", "box")] {
        nftables::load(&generated(program, &file, interface, tunnel)?)?;
    }
    nftables::load(TPROXY_RULES)?;
    check_other_rules(program, lab, &file)?;
    let before = uplink.left()?;
    let bridge = proxy::router().await;
    proxy::serve_site().await?;
    let mut proxy = proxy::start(program, lab, &bridge.address(), &file, LISTENERS).await?;

    let hosts = [&anna, &bert, &namespace, &tproxied];
    let mut identities = Vec::new();
    for host in hosts {
        identities.push(tokio::task::block_in_place(|| check_host(host))?);
    }
    identities.sort_unstable();
    identities.dedup();
    ensure!(identities.len() == hosts.len(), "hosts share an I2P identity: {identities:?}");
    println!("ok   each of {} hosts has its own I2P identity", hosts.len());
    tokio::task::block_in_place(|| -> Result<()> {
        check_ipv6(&anna)?;
        check_address_of_another(&anna, &bert)?;
        check_hosts_without_address(&anna)?;
        check_that_nothing_leaves(&hosts, &uplink, before)
    })?;
    println!("ok   nothing left the gateway");

    proxy.kill().await?;
    ensure!(curl(&anna, &format!("http://{SITE}/"))?.0 != Some(0), "a page without a proxy");
    tokio::task::block_in_place(|| check_that_nothing_leaves(&hosts, &uplink, before))?;
    println!("ok   nothing left after the proxy was killed");

    let routers = proxy::real_routers(lab).await?;
    let bridge = routers.first().context("no routers")?.bridge().address().to_string();
    let _proxy = proxy::start(program, lab, &bridge, &file, LISTENERS).await?;
    tokio::task::block_in_place(|| -> Result<()> {
        let identities = [page_of_real_routers(&anna)?, page_of_real_routers(&namespace)?];
        ensure!(identities[0] != identities[1], "hosts share an I2P identity: {identities:?}");
        check_that_nothing_leaves(&hosts, &uplink, before)
    })?;
    println!("ok   hosts fetch the page over i2pd routers, and nothing leaves");
    Ok(())
}

/// Fetches the page over tunnels that are built meanwhile. Returns which identity the site sees.
fn page_of_real_routers(host: &Host) -> Result<String> {
    let start = std::time::Instant::now();
    loop {
        let (code, page) = curl(host, &format!("http://{SITE}/"))?;
        if code == Some(0) && page.starts_with("identity ") {
            return Ok(page);
        }
        ensure!(start.elapsed() < TUNNELS_TIMEOUT, "no page: {code:?} {page}");
    }
}

/// The rules that the program writes.
fn generated(program: &Path, file: &Path, interface: &str, tunnel: &str) -> Result<String> {
    let output = Command::new(program)
        .args(["generate", "nftables", "--interface", interface, "--tunnel", tunnel, "--config"])
        .arg(file)
        .output()?;
    ensure!(output.status.success(), "generate: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).context("not text")
}

/// Without rules, the gateway forwards: the counter has to see it.
fn check_that_packets_are_counted(host: &Host, uplink: &Uplink) -> Result<()> {
    let check = |line: &str, addresses: &[&str]| {
        let before = uplink.left()?;
        host.run(line)?;
        ensure!(uplink.left()? > before, "without rules, nothing leaves from {addresses:?}: {line}");
        Ok(())
    };
    BY_ADDRESS.iter().chain(&BY_NAME).try_for_each(|line| check(line, host.addresses))?;
    host.use_addresses(&FORGED)?;
    let forged = attempts(host);
    forged.iter().try_for_each(|line| check(line, &FORGED))?;
    host.use_addresses(host.addresses)?;
    println!("ok   without rules, the gateway lets {} sorts of packets out", BY_ADDRESS.len() + forged.len());
    Ok(())
}

/// All that a host with a forged address tries.
fn attempts(host: &Host) -> Vec<String> {
    let to_gateway = host.routers.iter().flat_map(|router| to_gateway(router));
    BY_ADDRESS.iter().chain(&BY_NAME).map(|line| (*line).to_owned()).chain(to_gateway).collect()
}

/// Rules for other configurations and names of interfaces are rules, and those of one interface do not replace those of another.
fn check_other_rules(program: &Path, lab: &Path, file: &Path) -> Result<()> {
    for address in ["0.0.0.0", "[::]"] {
        let file = lab.join("any.toml");
        let listen = format!("listen = [\"redirect:{address}:4451\", \"dns:{address}:5353\"]\n");
        fs::write(&file, format!("[[tunnel]]\nname = \"any\"\nopen-to-others = true\n{listen}"))?;
        nftables::check(&generated(program, &file, "br0", "any")?)?;
    }
    let interfaces = ["br-lan", "br_lan", "br.lan", "7.-_"];
    for interface in interfaces {
        nftables::load(&generated(program, file, interface, "lan")?)?;
    }
    let tables = shell::run("nft list tables inet")?;
    for interface in interfaces {
        let table = format!("table inet i2p_socks_{interface}");
        ensure!(tables.lines().any(|line| line == table), "no {table} in {tables}");
        shell::run(&format!("nft delete {table}"))?;
    }
    println!("ok   rules for any address and for other names");
    Ok(())
}

fn is_one_of(code: Option<i32>, codes: &[i32]) -> bool {
    code.is_some_and(|code| codes.contains(&code))
}

/// Runs curl and returns its exit code and what it printed.
fn curl(host: &Host, arguments: &str) -> Result<(Option<i32>, String)> {
    let output = host.run(&format!("curl -s -m 10 {arguments}"))?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stdout).into()))
}

/// What every host gets. Returns its I2P identity, as the site sees it.
fn check_host(host: &Host) -> Result<String> {
    let (code, identity) = curl(host, &format!("http://{SITE}/"))?;
    ensure!(code == Some(0) && identity.starts_with("identity 127."), "{}: {code:?} {identity:?}", host.name);
    let (code, again) = curl(host, &format!("http://{}/", SITE.to_uppercase()))?;
    ensure!(code == Some(0) && again == identity, "{}: another identity: {again:?}", host.name);
    for (unknown, expected) in [
        ("http://unknown.i2p/", NOT_RESOLVED),
        ("http://example.com/", NOT_RESOLVED),
        ("http://use-application-dns.net/", NOT_RESOLVED),
        // Accepted by the gateway's kernel, and reset once the proxy has refused it.
        ("http://198.51.100.7/", RESET),
        ("http://250.1.2.3/", RESET),
    ] {
        let (code, text) = curl(host, unknown)?;
        ensure!(is_one_of(code, expected), "{}: {unknown} ends with {code:?} {text:?}", host.name);
    }
    let output =
        host.run_with("nameserver 198.51.100.53\noptions use-vc\n", &format!("getent hosts {SITE}"))?;
    ensure!(output.status.success() && output.stdout.starts_with(b"250."), "{}: no DNS over TCP", host.name);
    println!("ok   {}: names, unknown names, hosts outside, DNS over TCP", host.name);
    Ok(identity)
}

/// A host that asks DNS over IPv6 connects over IPv6.
fn check_ipv6(host: &Host) -> Result<()> {
    let page = format!("curl -s -m 10 -w \" %{{remote_ip}}\" http://{SITE}/");
    let resolved = host.run_with("nameserver 2001:db8:53::53\n", &page)?;
    let text = String::from_utf8_lossy(&resolved.stdout);
    ensure!(text.starts_with("identity 127.") && text.contains(" fd91:"), "IPv6: {text:?}");
    let (code, text) = curl(host, "'http://[fd91:cbed:4d7e::1]/'")?;
    ensure!(is_one_of(code, RESET), "an address of nobody: {code:?} {text:?}");
    println!("ok   {}: IPv6", host.name);
    Ok(())
}

/// An address that one host was given leads nowhere for another.
fn check_address_of_another(owner: &Host, other: &Host) -> Result<()> {
    let output = owner.run(&format!("getent ahostsv4 {SITE}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let address = text.split_whitespace().next().context("no address")?;
    let (code, _) = curl(owner, &format!("http://{address}/"))?;
    ensure!(code == Some(0), "the owner cannot use {address}: {code:?}");
    let (code, _) = curl(other, &format!("http://{address}/"))?;
    ensure!(is_one_of(code, RESET), "another host can use {address}: {code:?}");
    let named = other.run(&format!("getent hosts {address}"))?;
    ensure!(!named.status.success(), "another host learns the name of {address}");
    println!("ok   {} cannot use an address of {}", other.name, owner.name);
    Ok(())
}

/// A host that has no address yet can still ask for one, and ask whether somebody else has it.
fn check_hosts_without_address(host: &Host) -> Result<()> {
    let dhcp = UdpSocket::bind("0.0.0.0:67")?;
    dhcp.set_read_timeout(Some(ARRIVAL_TIMEOUT))?;
    host.succeed("ip address flush dev eth0 scope global")?;
    host.succeed(&format!("python3 -c '{ASK_FOR_ADDRESS}'"))?;
    let mut message = [0; 16];
    let (length, from) = dhcp.recv_from(&mut message).context("DHCP does not get to the gateway")?;
    ensure!(message.get(..length) == Some(b"address?") && from.ip().is_unspecified(), "DHCP from {from}");
    // The gateway's own address.
    let taken = "ip address add fd07::1/64 dev eth0 && \
        for i in $(seq 50); do ip address show dev eth0 | grep dadfailed && exit; sleep 0.1; done; exit 1";
    host.succeed(taken).context("a host cannot find out that an address of IPv6 is taken")?;
    host.use_addresses(host.addresses)?;
    println!("ok   {}: DHCP, and IPv6 addresses that are taken", host.name);
    Ok(())
}

/// All hosts try to leave, side by side, with their own addresses and then with those of somebody else.
fn check_that_nothing_leaves(hosts: &[&Host], uplink: &Uplink, before: u64) -> Result<()> {
    let tries = |host: &Host| {
        for line in attempts(host) {
            let found = host.run(&line)?.status.success();
            ensure!(!found || !BY_NAME.contains(&line.as_str()), "{}: {line} succeeds", host.name);
        }
        Ok(())
    };
    let all_try = || {
        thread::scope(|scope| {
            let running: Vec<_> = hosts.iter().map(|host| scope.spawn(|| tries(host))).collect();
            running
                .into_iter()
                .try_for_each(|run| run.join().unwrap_or_else(|_| bail!("an attempt panicked")))
        })
    };
    all_try()?;
    ensure!(uplink.left()? == before, "{} packets left", uplink.left()? - before);
    hosts.iter().try_for_each(|host| host.use_addresses(&FORGED))?;
    all_try()?;
    ensure!(uplink.left()? == before, "{} packets left to forged senders", uplink.left()? - before);
    hosts.iter().try_for_each(|host| host.use_addresses(host.addresses))
}
