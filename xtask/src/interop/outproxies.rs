//! Ways out of I2P: Debian's microsocks and tinyproxy, each behind a destination of its own, and a program that does what Tor does
//! for names of its own. At the far end is a plain web server that is not in I2P, which says from which address it is asked:
//! each exit has another.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use i2p_name::I2pName;
use i2p_sam::{Forwarding, PeerLine, Session, SessionOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    task::JoinSet,
};

use super::{
    LEASE_SET,
    checks::{NOT_ALLOWED, Report, refused},
    curl::Curl,
    i2pd::{Network, SiteKey},
    open_session, proxy,
};
use crate::{
    lab::wait::{Attempt, until},
    programs::{self, Program},
};

/// What the exits are.
pub(crate) const PROGRAMS: [Program; 2] = [("microsocks", "microsocks"), ("tinyproxy", "tinyproxy")];

/// Addresses that look public: those by which the exits go out, and that of the web server.
pub(crate) const BY_SOCKS: &str = "203.0.113.1";
const BY_HTTP: &str = "203.0.113.2";
pub(crate) const WEB: &str = "203.0.113.80";
/// Where the exits listen, for the site's router alone, and the program that is like Tor. The namespace is ours.
const SOCKS_PORT: u16 = 1081;
const HTTP_PORT: u16 = 8881;
const TOR_PORT: u16 = 9050;
/// Where the web server listens, and a port where nobody does.
const WEB_PORTS: [u16; 3] = [80, 443, 8000];
const CLOSED_PORT: u16 = 81;
const REJECTED_PORT: u16 = 25;
const USER: &str = "interop";
const PASSWORD: &str = "open-sesame";
/// Reply code of SOCKS5 (RFC 1928 section 6).
const CONNECTION_REFUSED: u8 = 5;
/// How long a program may take until it listens.
const START: Duration = Duration::from_secs(20);

/// The addresses that the network needs beside those of the routers.
pub(crate) fn addresses() -> Vec<String> {
    [BY_SOCKS, BY_HTTP, WEB].map(String::from).to_vec()
}

/// The programs behind the exits and what they lead to, on this machine. They end when this is dropped.
pub(crate) struct Programs {
    microsocks: Child,
    _tinyproxy: Child,
    password_file: String,
    _servers: JoinSet<Result<()>>,
}

/// The destinations of the exits in I2P, as long as this exists.
pub(crate) struct Exits {
    socks: Exit,
    http: Exit,
    password_file: String,
}

/// A destination that leads to a program.
struct Exit {
    b32: String,
    _forwarding: Forwarding,
}

impl Programs {
    /// Starts them. Returns once they listen.
    pub(crate) async fn start(lab: &Path) -> Result<Self> {
        let mut servers = JoinSet::new();
        for port in WEB_PORTS {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
            servers.spawn(serve(listener, web));
        }
        servers.spawn(serve(TcpListener::bind((Ipv4Addr::LOCALHOST, TOR_PORT)).await?, tor));
        let password_file = lab.join("exit-password");
        fs::write(&password_file, format!("{PASSWORD}\n"))?;
        let (mut microsocks, mut tinyproxy) = (microsocks(lab)?, tinyproxy(lab)?);
        listens(&mut microsocks, SOCKS_PORT).await.context("microsocks")?;
        listens(&mut tinyproxy, HTTP_PORT).await.context("tinyproxy")?;
        let password_file = password_file.display().to_string();
        Ok(Self { microsocks, _tinyproxy: tinyproxy, password_file, _servers: servers })
    }

    /// Publishes both exits. Returns once a client on another router has spoken with both.
    pub(crate) async fn publish(&self, network: &Network) -> Result<Exits> {
        let [keys @ .., fourth] = network.exit_keys() else { bail!("no keys for the exits") };
        let [first, second, third] = keys else { bail!("there are other keys for the exits than expected") };
        let options = SessionOptions::default().length(1).quantity(4);
        let client = open_session(network.client_bridge(), "the tunnels of a client of exits", &options);
        let (client, one, two) = tokio::try_join!(
            client,
            forward(network, first, SOCKS_PORT),
            forward(network, second, HTTP_PORT)
        )?;
        // The start of a handshake in each protocol, which each answers.
        let (greeting, options) = (&b"\x05\x01\x02"[..], &b"OPTIONS / HTTP/1.0\r\n\r\n"[..]);
        let (socks, http) = tokio::try_join!(
            found(network, &client, [first, third], one, (SOCKS_PORT, greeting)),
            found(network, &client, [second, fourth], two, (HTTP_PORT, options)),
        )?;
        let exit = |(b32, _forwarding)| Exit { b32, _forwarding };
        Ok(Exits { socks: exit(socks), http: exit(http), password_file: self.password_file.clone() })
    }

    /// Ends microsocks.
    async fn end_microsocks(&mut self) -> Result<()> {
        self.microsocks.kill().await.context("could not end microsocks")
    }
}

impl Exits {
    /// What the proxy is told of them.
    pub(crate) fn configuration(&self) -> String {
        let (socks, http, file) = (&self.socks.b32, &self.http.b32, &self.password_file);
        let login = format!("username = \"{USER}\"\npassword-file = \"{file}\"\n");
        format!(
            "[[outproxy]]\nname = \"socks\"\nat = \"{socks}\"\nprotocol = \"socks5\"\n{login}\
             [[outproxy]]\nname = \"http\"\nat = \"{http}\"\nprotocol = \"http-connect\"\n{login}\
             [[outproxy]]\nname = \"tor\"\nat = \"127.0.0.1:{TOR_PORT}\"\nvia = \"tcp\"\nprotocol = \"socks5\"\n\
             [[route]]\nhost = \"*.onion\"\nvia = [\"tor\"]\n\
             [[route]]\nhost = \"{WEB}\"\nport = {REJECTED_PORT}\nvia = \"reject\"\n\
             [[route]]\nhost = \"{WEB}\"\nport = \"{REJECTED_PORT},80-81\"\nvia = [\"socks\", \"http\"]\n\
             [[route]]\nhost = \"{WEB}\"\nport = 443\nvia = [\"http\", \"socks\"]\n\
             [[route]]\nhost = \"localhost\"\nport = 8000\nvia = [\"socks\"]\n"
        )
    }
}

/// A session on the site's router whose streams go to this port.
async fn forward(network: &Network, key: &SiteKey, port: u16) -> Result<Forwarding> {
    // As many tunnels as the site has, for the same reason.
    let options = SessionOptions::default().length(1).quantity(4);
    let published = options.publish(true).private_key(key.private.clone());
    let session = open_session(network.site_bridge(), "the tunnels of an exit", &published).await?;
    let forwarding = session.forward(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), PeerLine::Omitted).await;
    forwarding.context("the site's router does not forward")
}

/// Comes back when an exit answers a client on another router; with the second key if the first is not published, see
/// `super::publish`. Gives its base32 address.
async fn found(
    network: &Network,
    client: &Session,
    [key, other]: [&SiteKey; 2],
    forwarding: Forwarding,
    (port, greeting): (u16, &[u8]),
) -> Result<(String, Forwarding)> {
    let answers = async |key: &SiteKey| {
        until("an exit is found", LEASE_SET, async || Ok(Attempt::of(greet(client, key, greeting).await)))
            .await
    };
    match answers(key).await {
        Ok(()) => Ok((key.destination.b32().to_string(), forwarding)),
        Err(error) => {
            println!("  {error:#}; again with another key");
            let forwarding = forward(network, other, port).await?;
            answers(other).await?;
            Ok((other.destination.b32().to_string(), forwarding))
        }
    }
}

async fn greet(client: &Session, key: &SiteKey, greeting: &[u8]) -> Result<()> {
    let mut stream = client.connect(&I2pName::from(key.destination.b32()), 0).await?;
    stream.write_all(greeting).await?;
    ensure!(stream.read(&mut [0; 64]).await? > 0, "the stream ends before the exit has said anything");
    Ok(())
}

fn microsocks(lab: &Path) -> Result<Child> {
    let port = SOCKS_PORT.to_string();
    let line = ["-i", "127.0.0.1", "-p", &port, "-u", USER, "-P", PASSWORD, "-b", BY_SOCKS];
    start("microsocks", &line, lab)
}

fn tinyproxy(lab: &Path) -> Result<Child> {
    let configuration = lab.join("tinyproxy.conf");
    let log = lab.join("tinyproxy.log");
    fs::write(
        &configuration,
        format!(
            "Port {HTTP_PORT}\nListen 127.0.0.1\nBind {BY_HTTP}\nBasicAuth {USER} {PASSWORD}\nTimeout 60\nMaxClients 20\n\
             LogFile \"{}\"\nLogLevel Info\n",
            log.display()
        ),
    )?;
    start("tinyproxy", &["-d", "-c", &configuration.display().to_string()], lab)
}

fn start(program: &str, arguments: &[&str], lab: &Path) -> Result<Child> {
    let path = programs::find(program).with_context(|| format!("{program} is missing"))?;
    let output = fs::File::create(lab.join(format!("{program}-output.log")))?;
    let mut command = Command::new(path);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .kill_on_drop(true);
    command.spawn().with_context(|| format!("could not start {program}"))
}

/// Comes back when a program has its port. Fails when it has ended.
async fn listens(program: &mut Child, port: u16) -> Result<()> {
    until("an exit listens", START, async || {
        if let Some(status) = program.try_wait()? {
            bail!("it has ended ({status}): see its output");
        }
        Ok(Attempt::of(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.map(drop)))
    })
    .await
}

async fn serve<F: Future<Output = Result<()>> + Send + 'static>(
    listener: TcpListener,
    answer: fn(TcpStream) -> F,
) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        // What goes wrong shows at the client, which is where it is looked for.
        tokio::spawn(answer(stream));
    }
}

/// Says from which address it is asked.
async fn web(mut stream: TcpStream) -> Result<()> {
    let peer = stream.peer_addr()?.ip();
    respond(&mut stream, &format!("from {peer}")).await
}

async fn respond(stream: &mut TcpStream, text: &str) -> Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        ensure!(stream.read_buf(&mut head).await? > 0 && head.len() < 16 * 1024, "no request");
    }
    let length = text.len();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}");
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    while stream.read(&mut [0; 512]).await? > 0 {}
    Ok(())
}

/// As Tor: SOCKS5 with any credentials, which keep streams apart; connects to names that no DNS knows. Says for which name and
/// with which password it was asked.
async fn tor(mut stream: TcpStream) -> Result<()> {
    let [version, methods] = [stream.read_u8().await?, stream.read_u8().await?];
    let mut offered = vec![0; methods.into()];
    stream.read_exact(&mut offered).await?;
    ensure!(version == 5 && offered.contains(&2), "no SOCKS5, or no credentials");
    stream.write_all(&[5, 2]).await?;
    ensure!(stream.read_u8().await? == 1, "no credentials");
    let (_, password) = (counted(&mut stream).await?, counted(&mut stream).await?);
    stream.write_all(&[1, 0]).await?;
    let mut request = [0; 4];
    stream.read_exact(&mut request).await?;
    ensure!(request == [5, 1, 0, 3], "no CONNECT to a name: {request:?}");
    let name = counted(&mut stream).await?;
    stream.read_u16().await?;
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    respond(&mut stream, &format!("{name} {password}")).await
}

async fn counted(stream: &mut TcpStream) -> Result<String> {
    let mut text = vec![0; stream.read_u8().await?.into()];
    stream.read_exact(&mut text).await?;
    String::from_utf8(text).context("no text")
}

/// The checks. The last one ends the SOCKS exit.
pub(super) async fn run(report: &mut Report, curl: &Curl, programs: &mut Programs) {
    let web = |port: u16| format!("http://{WEB}:{port}/");
    report
        .check("port 80 by microsocks in I2P, with credentials", comes_from(curl, &web(80), BY_SOCKS))
        .await;
    report
        .check("port 443 by tinyproxy in I2P, with credentials", comes_from(curl, &web(443), BY_HTTP))
        .await;
    let name = "a name, which the exit resolves";
    report.check(name, comes_from(curl, "http://localhost:8000/", BY_SOCKS)).await;
    let option = "--socks5-hostname";
    let name = format!("a port that the far end refuses: [{CONNECTION_REFUSED}]");
    report.check(&name, refused(curl, option, &web(CLOSED_PORT), &[CONNECTION_REFUSED])).await;
    let name = format!("a port that a rule refuses: [{NOT_ALLOWED}]");
    report.check(&name, refused(curl, option, &web(REJECTED_PORT), &[NOT_ALLOWED])).await;
    let name = format!("a host that no rule is about: [{NOT_ALLOWED}]");
    report.check(&name, refused(curl, option, "http://203.0.113.9/", &[NOT_ALLOWED])).await;
    report.check("*.onion by a local SOCKS server, clients kept apart", onion(curl)).await;
    let fail_over = async {
        programs.end_microsocks().await?;
        comes_from(curl, &web(80), BY_HTTP).await
    };
    report.check("microsocks killed: port 80 by tinyproxy", fail_over).await;
}

async fn fetch(curl: &Curl, user: Option<&str>, url: &str) -> Result<String> {
    let mut arguments = vec!["--fail"];
    arguments.extend(user.into_iter().flat_map(|user| ["--proxy-user", user]));
    arguments.extend(["--socks5-hostname", proxy::ADDRESS, url]);
    let outcome = curl.run(&arguments).await?;
    ensure!(outcome.code == 0, "curl ended with {}: {}", outcome.code, outcome.stderr);
    String::from_utf8(outcome.stdout).context("no text")
}

pub(crate) async fn comes_from(curl: &Curl, url: &str, address: &str) -> Result<()> {
    let said = fetch(curl, None, url).await?;
    ensure!(said == format!("from {address}"), "the web server was asked {said}");
    Ok(())
}

async fn onion(curl: &Curl) -> Result<()> {
    let ask = async |user: &str| {
        let said = fetch(curl, Some(user), "http://example.onion/").await?;
        let password =
            said.strip_prefix("example.onion ").with_context(|| format!("it was asked for {said}"))?;
        ensure!(!user.contains(password), "it was told the client's own credentials");
        Ok(password.to_owned())
    };
    let (alice, bob, again) = (ask("alice:x").await?, ask("bob:x").await?, ask("alice:x").await?);
    ensure!(alice == again && alice != bob, "{alice}, {bob}, {again}");
    Ok(())
}
