//! Ways out of I2P: Debian's microsocks and tinyproxy, each behind a destination of its own, and a program that treats names
//! of its own as Tor does. Behind them is a plain web server outside I2P. It responds with the address of its client, which
//! tells the exits apart.

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
use programs::Program;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    task::JoinSet,
};

use crate::{
    network::{Network, ServiceKeys},
    sessions::{LEASE_SET_PATIENCE, open_session},
    wait::{Attempt, until, until_with},
};

/// The exit programs.
pub const PROGRAMS: [Program; 2] = [("microsocks", "microsocks"), ("tinyproxy", "tinyproxy")];

/// The address from which microsocks connects. These addresses look public.
pub const SOCKS_EXIT_ADDRESS: &str = "203.0.113.1";
/// The address from which tinyproxy connects.
pub const HTTP_EXIT_ADDRESS: &str = "203.0.113.2";
/// The address of the web server.
pub const WEB_ADDRESS: &str = "203.0.113.80";
/// Where the exits listen for the site's router. The namespace is ours, so that these ports are free.
const SOCKS_EXIT_PORT: u16 = 1081;
const HTTP_EXIT_PORT: u16 = 8881;
const TOR_PORT: u16 = 9050;
/// The ports of the web server.
const WEB_PORTS: [u16; 3] = [80, 443, 8000];
/// A port that a route refuses.
pub const REJECTED_PORT: u16 = 25;
const USER: &str = "interop";
const PASSWORD: &str = "open-sesame";
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// The addresses that the namespace needs beside those of the routers.
#[must_use]
pub fn addresses() -> Vec<String> {
    [SOCKS_EXIT_ADDRESS, HTTP_EXIT_ADDRESS, WEB_ADDRESS].map(String::from).to_vec()
}

/// The programs on this machine: exits and the web server. They end when this is dropped.
pub struct ExitPrograms {
    microsocks: Child,
    _tinyproxy: Child,
    password_file: String,
    _servers: JoinSet<Result<()>>,
}

/// The published destinations of the exits. They end when this is dropped.
pub struct Exits {
    socks: Exit,
    http: Exit,
    password_file: String,
}

/// A destination that leads to a program.
struct Exit {
    b32: String,
    _forwarding: Forwarding,
}

impl ExitPrograms {
    /// Starts the programs. Returns once they listen.
    pub async fn start(lab: &Path) -> Result<Self> {
        let mut servers = JoinSet::new();
        for port in WEB_PORTS {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
            servers.spawn(serve(listener, respond_with_client_address));
        }
        servers.spawn(serve(TcpListener::bind((Ipv4Addr::LOCALHOST, TOR_PORT)).await?, serve_as_tor));
        let password_file = lab.join("exit-password");
        fs::write(&password_file, format!("{PASSWORD}\n"))?;
        let (mut microsocks, mut tinyproxy) = (start_microsocks(lab)?, start_tinyproxy(lab)?);
        wait_until_listening(&mut microsocks, SOCKS_EXIT_PORT).await.context("microsocks")?;
        wait_until_listening(&mut tinyproxy, HTTP_EXIT_PORT).await.context("tinyproxy")?;
        let password_file = password_file.display().to_string();
        Ok(Self { microsocks, _tinyproxy: tinyproxy, password_file, _servers: servers })
    }

    /// Publishes both exits. Returns once a client on another router has reached both.
    pub async fn publish(&self, network: &Network) -> Result<Exits> {
        let [first, second, third, fourth] = network.exit_keys() else { bail!("four keys are needed") };
        let options = SessionOptions::default().length(1).quantity(4);
        let client = open_session(network.client_bridge(), "the tunnels of a client of exits", &options);
        let (client, one, two) = tokio::try_join!(
            client,
            forward(network, first, SOCKS_EXIT_PORT),
            forward(network, second, HTTP_EXIT_PORT)
        )?;
        // The start of a handshake in each protocol, to which each responds.
        let (greeting, options) = (&b"\x05\x01\x02"[..], &b"OPTIONS / HTTP/1.0\r\n\r\n"[..]);
        let (socks, http) = tokio::try_join!(
            wait_until_found(network, &client, [first, third], one, (SOCKS_EXIT_PORT, greeting)),
            wait_until_found(network, &client, [second, fourth], two, (HTTP_EXIT_PORT, options)),
        )?;
        Ok(Exits { socks, http, password_file: self.password_file.clone() })
    }

    /// Kills microsocks.
    pub async fn kill_microsocks(&mut self) -> Result<()> {
        self.microsocks.kill().await.context("could not kill microsocks")
    }
}

impl Exits {
    /// The part of the proxy's configuration that describes them.
    #[must_use]
    pub fn configuration(&self) -> String {
        let (socks, http, file) = (&self.socks.b32, &self.http.b32, &self.password_file);
        let login = format!("username = \"{USER}\"\npassword-file = \"{file}\"\n");
        format!(
            "[[outproxy]]\nname = \"socks\"\nat = \"{socks}\"\nprotocol = \"socks5\"\n{login}\
             [[outproxy]]\nname = \"http\"\nat = \"{http}\"\nprotocol = \"http-connect\"\n{login}\
             [[outproxy]]\nname = \"tor\"\nat = \"127.0.0.1:{TOR_PORT}\"\nvia = \"tcp\"\nprotocol = \"socks5\"\n\
             [[route]]\nhost = \"*.onion\"\nvia = [\"tor\"]\n\
             [[route]]\nhost = \"{WEB_ADDRESS}\"\nport = {REJECTED_PORT}\nvia = \"reject\"\n\
             [[route]]\nhost = \"{WEB_ADDRESS}\"\nport = \"{REJECTED_PORT},80-81\"\nvia = [\"socks\", \"http\"]\n\
             [[route]]\nhost = \"{WEB_ADDRESS}\"\nport = 443\nvia = [\"http\", \"socks\"]\n\
             [[route]]\nhost = \"localhost\"\nport = 8000\nvia = [\"socks\"]\n\
             [[route]]\nhost = \"localhost\"\nport = 443\nvia = [\"http\"]\n"
        )
    }
}

/// Opens a session on the site's router and forwards its streams to this port.
async fn forward(network: &Network, keys: &ServiceKeys, port: u16) -> Result<Forwarding> {
    // As many tunnels as the site has, for the same reason.
    let options = SessionOptions::default().length(1).quantity(4);
    let published = options.publish(true).private_key(keys.private_key.clone());
    let session = open_session(network.site_bridge(), "the tunnels of an exit", &published).await?;
    let forwarding = session.forward(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), PeerLine::Omitted).await;
    forwarding.context("the site's router does not forward")
}

/// Returns once the exit responds to a client on another router. If i2pd does not publish it, the other keys are used, see
/// [`crate::site`].
async fn wait_until_found(
    network: &Network,
    client: &Session,
    [keys, other_keys]: [&ServiceKeys; 2],
    forwarding: Forwarding,
    (port, greeting): (u16, &[u8]),
) -> Result<Exit> {
    let responds = async |keys: &ServiceKeys| {
        until_with("an exit is found", LEASE_SET_PATIENCE, async || {
            Ok(Attempt::of(greet(client, keys, greeting).await))
        })
        .await
    };
    let exit = |keys: &ServiceKeys, forwarding| Exit {
        b32: keys.destination.b32().to_string(),
        _forwarding: forwarding,
    };
    match responds(keys).await {
        Ok(()) => Ok(exit(keys, forwarding)),
        Err(error) => {
            println!("  {error:#}; trying other keys");
            let forwarding = forward(network, other_keys, port).await?;
            responds(other_keys).await?;
            Ok(exit(other_keys, forwarding))
        }
    }
}

async fn greet(client: &Session, keys: &ServiceKeys, greeting: &[u8]) -> Result<()> {
    let mut stream = client.connect(&I2pName::from(keys.destination.b32()), 0).await?;
    stream.write_all(greeting).await?;
    ensure!(stream.read(&mut [0; 64]).await? > 0, "the stream ends before the exit has responded");
    Ok(())
}

fn start_microsocks(lab: &Path) -> Result<Child> {
    let port = SOCKS_EXIT_PORT.to_string();
    let line = ["-i", "127.0.0.1", "-p", &port, "-u", USER, "-P", PASSWORD, "-b", SOCKS_EXIT_ADDRESS];
    start("microsocks", &line, lab)
}

fn start_tinyproxy(lab: &Path) -> Result<Child> {
    let configuration = lab.join("tinyproxy.conf");
    let log = lab.join("tinyproxy.log");
    fs::write(
        &configuration,
        format!(
            "Port {HTTP_EXIT_PORT}\nListen 127.0.0.1\nBind {HTTP_EXIT_ADDRESS}\nBasicAuth {USER} {PASSWORD}\nTimeout 60\nMaxClients 20\n\
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

/// Returns once a program listens on its port. Fails if the program has exited.
async fn wait_until_listening(program: &mut Child, port: u16) -> Result<()> {
    until("an exit listens", START_TIMEOUT, async || {
        if let Some(status) = program.try_wait()? {
            bail!("it has exited ({status}): see its output");
        }
        Ok(Attempt::of(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.map(drop)))
    })
    .await
}

async fn serve<F: Future<Output = Result<()>> + Send + 'static>(
    listener: TcpListener,
    respond: fn(TcpStream) -> F,
) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        // The client notices whatever goes wrong.
        tokio::spawn(respond(stream));
    }
}

async fn respond_with_client_address(mut stream: TcpStream) -> Result<()> {
    let peer = stream.peer_addr()?.ip();
    respond(&mut stream, &format!("from {peer}")).await
}

async fn respond(stream: &mut TcpStream, text: &str) -> Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        ensure!(
            stream.read_buf(&mut head).await? > 0 && head.len() < 16 * 1024,
            "the request is cut off or too long"
        );
    }
    let length = text.len();
    let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}");
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await?;
    while stream.read(&mut [0; 512]).await? > 0 {}
    Ok(())
}

/// Speaks SOCKS5 as Tor does: accepts any credentials, which isolate streams, and connects to names that no DNS knows. Responds
/// with the name and the password of the request.
async fn serve_as_tor(mut stream: TcpStream) -> Result<()> {
    let [version, methods] = [stream.read_u8().await?, stream.read_u8().await?];
    let mut offered = vec![0; methods.into()];
    stream.read_exact(&mut offered).await?;
    ensure!(version == 5 && offered.contains(&2), "not SOCKS5, or no credentials");
    stream.write_all(&[5, 2]).await?;
    ensure!(stream.read_u8().await? == 1, "no credentials");
    let (_, password) = (read_counted_text(&mut stream).await?, read_counted_text(&mut stream).await?);
    stream.write_all(&[1, 0]).await?;
    let mut request = [0; 4];
    stream.read_exact(&mut request).await?;
    ensure!(request == [5, 1, 0, 3], "no CONNECT to a name: {request:?}");
    let name = read_counted_text(&mut stream).await?;
    stream.read_u16().await?;
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    respond(&mut stream, &format!("{name} {password}")).await
}

async fn read_counted_text(stream: &mut TcpStream) -> Result<String> {
    let mut text = vec![0; stream.read_u8().await?.into()];
    stream.read_exact(&mut text).await?;
    String::from_utf8(text).context("not text")
}
