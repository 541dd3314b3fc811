//! Attempts to make the proxy and a site, or the proxy and a client, disagree about where a message ends.
//!
//! Anna attacks, and Berta uses the same tunnel. `requests.rs` and `answers.rs` have what Anna and a hostile site send, by kind, in the
//! manner of the public collections of such messages. What holds for all of them: the site gets only what a strict reader finds in
//! what Anna has sent, never anything on a stream of Berta's, and nobody ever gets an answer to somebody else's request.

mod answers;
mod reader;
mod requests;
mod site;

use std::{sync::Arc, time::Duration};

use sam_testkit::TestBridge;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};

use self::{
    reader::Request,
    site::{Connection, Site},
};
use crate::common::{Proxy, http::http_proxy, read_to_end_or_reset};

const LONG: Duration = Duration::from_secs(30);
/// How many attempts are made at the same time.
const AT_ONCE: usize = 64;
/// Their credentials, and a field that tells the site who sends.
const ANNA: &str = "Proxy-Authorization: Basic YW5uYTp4\r\nX-Who: anna\r\n";
const BERTA: &str = "Proxy-Authorization: Basic YmVydGE6eA==\r\nX-Who: berta\r\n";

fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?')).collect()
}

/// Runs `attempt` for all numbers up to `count`, many at the same time.
async fn run_all<F: Future<Output = ()> + Send + 'static>(count: usize, attempt: impl Fn(usize) -> F) {
    let (mut running, places) = (JoinSet::new(), Arc::new(Semaphore::new(AT_ONCE)));
    for number in 0..count {
        let place = Arc::clone(&places).acquire_owned().await.unwrap();
        let attempt = attempt(number);
        running.spawn(async move {
            timeout(LONG, attempt).await.unwrap_or_else(|_| panic!("attempt {number} takes too long"));
            drop(place);
        });
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
}

/// Asks for a path and fails unless the answer is that path.
async fn expect_own_answer(client: &mut TcpStream, port: u16, who: &str, path: &str) {
    let request = format!("GET http://known.i2p:{port}{path} HTTP/1.1\r\nHost: known.i2p\r\n{who}\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let (head, body) = read_answer(client, "GET").await.expect("no answer");
    assert!(head.starts_with("HTTP/1.1 200 ") && body == path.as_bytes(), "{path}: {head}{body:?}");
}

/// Reads one final answer; nothing if the connection ends before its end.
async fn read_answer(client: &mut TcpStream, method: &str) -> Option<(String, Vec<u8>)> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.ok()?);
        }
        let head: String = head.into_iter().map(char::from).collect();
        assert!(head.starts_with("HTTP/1.1 "), "no answer: {head:?}");
        if head.starts_with("HTTP/1.1 1") {
            continue;
        }
        let lower = head.to_ascii_lowercase();
        let value = |name: &str| lower.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if method == "HEAD" || head.starts_with("HTTP/1.1 204") || head.starts_with("HTTP/1.1 304") {
            return Some((head, Vec::new()));
        }
        if value("transfer-encoding:") == Some("chunked") {
            return Some((head, read_chunks(client).await?));
        }
        let length = value("content-length:").map_or("0", |length| length);
        let length = length.parse().unwrap_or_else(|_| panic!("an odd length: {head:?}"));
        let mut body = vec![0; length];
        client.read_exact(&mut body).await.ok()?;
        return Some((head, body));
    }
}

/// Reads chunks to the end of a body without trailers.
async fn read_chunks(client: &mut TcpStream) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(client.read_u8().await.ok()?);
        }
        let size = String::from_utf8(line).unwrap();
        let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
        let mut data = vec![0; size + 2];
        client.read_exact(&mut data).await.ok()?;
        assert!(data.ends_with(b"\r\n"), "{data:?}");
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(&data[..size]);
    }
}

/// The requests that a site got with this beginning of their path, in the order of each connection.
fn with_path<'a>(connections: &'a [Connection], begin: &str) -> Vec<&'a Request> {
    let all = connections.iter().flat_map(|connection| &connection.requests);
    all.filter(|request| request.path.starts_with(begin)).collect()
}

/// Fails if a connection has requests of two people, or something that is no request.
fn check_streams(connections: &[Connection]) {
    for connection in connections {
        let text = String::from_utf8_lossy(&connection.bytes);
        assert_eq!(connection.malformed, None, "{text:?}");
        for request in &connection.requests {
            let whose: Vec<_> =
                request.fields.iter().filter(|(name, _)| name == "x-who").map(|(_, who)| who).collect();
            assert_eq!(whose.len(), 1, "a request of nobody: {text:?}");
        }
        assert!(!(text.contains("X-Who: anna") && text.contains("X-Who: berta")), "of two people: {text:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_gets_no_request_but_those_that_the_client_meant() {
    let bridge = TestBridge::start().await;
    let site = Arc::new(Site::start(&bridge).await);
    let proxy = Arc::new(http_proxy(&bridge).await);
    let port = site.port;
    let attempts: Vec<(&str, Vec<u8>)> = requests::kinds()
        .into_iter()
        .flat_map(|kind| kind.requests.into_iter().map(move |request| (kind.name, request)))
        .enumerate()
        .map(|(number, (kind, request))| {
            let url = format!("http://known.i2p:{port}/{number:05}/");
            let request = request.replace("URL", &url).replace("/INNER", &format!("/{number:05}"));
            // Behind the first line, so that each request has it.
            let request = request.replacen("HTTP/1.1\r\n", &format!("HTTP/1.1\r\n{ANNA}"), 1);
            let request = request.replacen("HTTP/1.0\r\n", &format!("HTTP/1.0\r\n{ANNA}"), 1);
            (kind, bytes(&format!("{request}GET {url}next HTTP/1.1\r\nHost: known.i2p\r\n{ANNA}\r\n")))
        })
        .collect();
    let attempts = Arc::new(attempts);
    assert!(attempts.len() > 1000, "{} attempts", attempts.len());
    let sending = Arc::clone(&attempts);
    run_all(attempts.len(), move |number| {
        let (proxy, attempts) = (Arc::clone(&proxy), Arc::clone(&sending));
        async move {
            send_and_finish(&proxy, &attempts[number].1).await;
            let mut berta = proxy.connect().await;
            expect_own_answer(&mut berta, port, BERTA, &format!("/{number:05}/berta")).await;
        }
    })
    .await;
    let connections = site.connections();
    check_streams(&connections);
    let mut passed = 0;
    for (number, (kind, sent)) in attempts.iter().enumerate() {
        let got = with_path(&connections, &format!("/{number:05}"));
        let got: Vec<_> = got.into_iter().filter(|request| !request.path.ends_with("/berta")).collect();
        let (meant, _) = reader::all(sent);
        passed += usize::from(!got.is_empty());
        let shown = String::from_utf8_lossy(sent);
        // The first of those that were meant, on whatever connection.
        let is = |got: &Request, meant: &Request| {
            (&got.method, &got.path, &got.body) == (&meant.method, &meant.path, &meant.body)
        };
        let first = meant.get(..got.len()).unwrap_or_else(|| panic!("{kind}: {got:?} from {shown:?}"));
        let all_there = first.iter().all(|meant| got.iter().any(|got| is(got, meant)));
        assert!(all_there, "{kind}: {got:?} from {shown:?}");
    }
    // Some of them are as they should be.
    assert!(passed > 50 && passed < attempts.len() / 2, "{passed} of {} have passed", attempts.len());
}

/// Sends all of it, whether or not the proxy still reads, and takes what the proxy answers.
async fn send_and_finish(proxy: &Proxy, sent: &[u8]) {
    let mut client = proxy.connect().await;
    if client.write_all(sent).await.is_ok() && client.shutdown().await.is_ok() {
        read_to_end_or_reset(&mut client).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_an_answer_to_another_request() {
    let bridge = TestBridge::start().await;
    let site = Arc::new(Site::start(&bridge).await);
    let proxy = Arc::new(http_proxy(&bridge).await);
    let attempts = Arc::new(answers::all());
    for (number, hostile) in attempts.iter().enumerate() {
        site.answer(format!("/{number}/hostile"), bytes(&hostile.answer));
    }
    let (port, count) = (site.port, attempts.len());
    assert!(count > 200, "{count} attempts");
    run_all(count, move |number| {
        let (proxy, attempts) = (Arc::clone(&proxy), Arc::clone(&attempts));
        async move {
            let method = attempts[number].method;
            let mut client = proxy.connect().await;
            let url = format!("http://known.i2p:{port}/{number}");
            let request = format!("{method} {url}/hostile HTTP/1.1\r\nHost: known.i2p\r\n{ANNA}\r\n");
            client.write_all(request.as_bytes()).await.unwrap();
            let first = read_answer(&mut client, method).await;
            // The next ones: on the same connection if it goes on, on another one, and of somebody else.
            let goes_on = first.is_some_and(|(head, _)| !head.contains("\r\nConnection: close\r\n"));
            if goes_on {
                expect_own_answer(&mut client, port, ANNA, &format!("/{number}/second")).await;
            }
            for (who, path) in [(ANNA, "third"), (BERTA, "berta")] {
                let mut client = proxy.connect().await;
                expect_own_answer(&mut client, port, who, &format!("/{number}/{path}")).await;
            }
        }
    })
    .await;
    check_streams(&site.connections());
}
