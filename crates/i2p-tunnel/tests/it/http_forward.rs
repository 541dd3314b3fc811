//! Plain HTTP on the SOCKS port: requests that name a URL are forwarded to its host (RFC 9112 section 3.2.2).

use std::time::Duration;

use i2p_tunnel::{AccessPolicy, Authentication, Limits, Users};
use sam_testkit::{Act, Endpoint, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout},
};

use crate::common::{
    http::{all_protocols, ask, head, http_proxy, http_proxy_with},
    proxy_with_service, read_to_end_or_reset,
    site::Site,
};

const SECOND: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(20);
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// The next request gets a stream of its own.
const OK_AND_CLOSE: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";

fn get(host: &str, port: u16) -> String {
    format!("GET http://{host}:{port}/ HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n")
}

#[tokio::test]
async fn a_request_is_forwarded_with_the_host_of_its_target_and_without_what_ends_here() {
    let bridge = TestBridge::start().await;
    let answer = "HTTP/1.1 203 Fine\r\nX-Of-Site: 1\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 2\r\nKeep-Alive: 9\r\n\
                  Content-Length: 4\r\n\r\nbody";
    let site = Site::start(&bridge, answer).await;
    let proxy = http_proxy(&bridge).await;
    let mut client = proxy.connect().await;
    let request = format!(
        "GET http://KNOWN.i2p:{}/path?query HTTP/1.1\r\nHost: other.example\r\nX-Own: a\r\nConnection: X-Private\r\n\
         X-Private: b\r\nProxy-Connection: keep-alive\r\nKeep-Alive: 300\r\nTE: gzip\r\nX-Own: c\r\n\r\n",
        site.port
    );
    let (head, body) = ask(&mut client, &request).await;
    assert!(head.starts_with("HTTP/1.1 203 "), "{head}");
    assert!(
        head.contains("X-Of-Site: 1\r\n") && !head.contains("Hop") && !head.contains("Keep-Alive"),
        "{head}"
    );
    assert_eq!(body, "body");
    let got = site.text(0);
    assert!(got.starts_with("GET /path?query HTTP/1.1\r\n"), "{got}");
    assert!(got.contains(&format!("\r\nHost: known.i2p:{}\r\n", site.port)), "{got}");
    assert!(got.contains("\r\nX-Own: a\r\nX-Own: c\r\n"), "{got}");
    for ended in ["other.example", "Private", "Proxy", "Keep-Alive", "gzip", "Via", "Forwarded"] {
        assert!(!got.contains(ended), "{ended} in {got}");
    }
}

/// Names, base32 addresses, base64 destinations and virtual addresses; the site always sees its own name.
#[tokio::test]
async fn every_request_of_a_connection_goes_where_it_says() {
    let bridge = TestBridge::start().await;
    let destination = bridge.host("site.i2p", Endpoint::Echo);
    let site = Site::start(&bridge, OK_AND_CLOSE).await;
    let proxy = http_proxy(&bridge).await;
    let address = proxy.resolve("known.i2p").await.unwrap().to_string();
    let Ok(i2p_name::I2pName::Destination(full)) = i2p_name::I2pName::parse(&destination) else {
        panic!("{destination}")
    };
    let of_destination = full.b32().to_string();
    let mut client = proxy.connect().await;
    for (asked, host) in [
        ("site.i2p", "site.i2p"),
        ("known.i2p", "known.i2p"),
        ("Site.I2P.", "site.i2p"),
        (&of_destination, &of_destination),
        (&destination, &of_destination),
        (&address, "known.i2p"),
    ] {
        let (head, body) = ask(&mut client, &get(asked, site.port)).await;
        assert!(head.starts_with("HTTP/1.1 200 ") && body == "ok", "{asked}: {head}{body}");
        let all: Vec<_> = site.seen().connections;
        let last = String::from_utf8(all.last().unwrap().clone()).unwrap();
        assert!(last.contains(&format!("\r\nHost: {host}:{}\r\n", site.port)), "{asked}: {last}");
    }
}

#[tokio::test]
async fn failures_are_told_and_the_connection_goes_on() {
    let bridge = TestBridge::start().await;
    let site = Site::start(&bridge, OK).await;
    let proxy = http_proxy(&bridge).await;
    let mut client = proxy.connect().await;
    for (host, status, says) in [
        ("secret.example.com", "403", "leads to I2P"),
        ("198.51.100.7", "403", "no route leads there"),
        ("[2001:db8::7]", "403", "no route leads there"),
        ("a.localhost", "403", "of this machine"),
        ("unknown.i2p", "404", "Check the spelling"),
        ("a_secret.i2p", "400", "Check the address"),
    ] {
        let (head, body) = ask(&mut client, &get(host, 80)).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {head}");
        assert!(body.contains(says) && !body.contains(host), "{host}: {body}");
        assert!(head.contains("Cache-Control: no-store\r\n"), "{head}");
    }
    assert_eq!(ask(&mut client, &get("known.i2p", site.port)).await.1, "ok");
}

#[tokio::test]
async fn bodies_pass_in_both_directions_however_they_are_framed() {
    let bridge = TestBridge::start().await;
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
                   3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n";
    let site = Site::start(&bridge, chunked).await;
    let proxy = http_proxy(&bridge).await;
    let url = format!("http://known.i2p:{}/", site.port);
    let ask = async |request: String| String::from_utf8(proxy.exchange(request.as_bytes()).await).unwrap();
    let end = "Host: x\r\nConnection: close\r\n";

    let answer = ask(format!("GET {url} HTTP/1.1\r\n{end}TE: trailers\r\nConnection: TE\r\n\r\n")).await;
    assert!(answer.contains("Transfer-Encoding: chunked\r\n"), "{answer}");
    assert!(answer.ends_with("3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n"), "{answer}");
    let answer = ask(format!("GET {url} HTTP/1.0\r\n\r\n")).await;
    assert!(
        !answer.to_lowercase().contains("transfer-encoding") && answer.ends_with("\r\n\r\nabcde"),
        "{answer}"
    );
    let answer = ask(format!("HEAD {url} HTTP/1.1\r\n{end}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"), "{answer}");

    site.set_answer("HTTP/1.1 206 Part\r\nContent-Range: bytes 1-2/5\r\nContent-Length: 2\r\n\r\nbc");
    let answer = ask(format!("GET {url} HTTP/1.1\r\n{end}Range: bytes=1-2\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 206 ") && answer.contains("Content-Range: bytes 1-2/5"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nbc"), "{answer}");
    // To the end of the stream.
    site.set_answer("HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nuntil the end");
    let answer = ask(format!("GET {url} HTTP/1.1\r\n{end}\r\n")).await;
    assert!(answer.ends_with("D\r\nuntil the end\r\n0\r\n\r\n"), "{answer}");
    site.set_answer("HTTP/1.1 204 None\r\nConnection: close\r\n\r\n");
    assert!(ask(format!("GET {url} HTTP/1.1\r\n{end}\r\n")).await.ends_with("\r\n\r\n"));

    site.set_answer(OK_AND_CLOSE);
    let count = site.seen().connections.len();
    ask(format!("PUT {url} HTTP/1.1\r\n{end}Content-Length: 5\r\n\r\nhello")).await;
    let got = site.text(count);
    assert!(got.contains("\r\nContent-Length: 5\r\n") && got.ends_with("\r\n\r\nhello"), "{got}");
    for method in ["POST", "GET", "DELETE"] {
        let count = site.seen().connections.len();
        let answer = ask(format!(
            "{method} {url} HTTP/1.1\r\n{end}Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
             2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nX-Sum: 9\r\n\r\n"
        ))
        .await;
        assert!(answer.ends_with("ok"), "{answer}");
        let got = site.text(count);
        assert!(got.contains("\r\nTransfer-Encoding: chunked\r\n") && !got.contains("a=b"), "{got}");
        assert!(got.ends_with("2\r\nhe\r\n3\r\nllo\r\n0\r\nX-Sum: 9\r\n\r\n"), "{got}");
    }
}

/// More than any buffer holds, and in both directions at once.
#[tokio::test]
async fn long_bodies_pass() {
    let bridge = TestBridge::start().await;
    let length = 8 << 20;
    let site = Site::start_with(&bridge, move |_| {
        [format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes(), &vec![b'd'; length]]
            .concat()
    })
    .await;
    let proxy = http_proxy(&bridge).await;
    let client = proxy.connect().await;
    let (mut from, mut to) = client.into_split();
    let request = format!(
        "POST http://known.i2p:{}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n",
        site.port
    );
    let upload = async {
        to.write_all(request.as_bytes()).await.unwrap();
        to.write_all(&vec![b'u'; length]).await.unwrap();
    };
    let mut answer = Vec::new();
    let (_, read) =
        timeout(LONG, async { tokio::join!(upload, from.read_to_end(&mut answer)) }).await.unwrap();
    read.unwrap();
    assert_eq!(answer.iter().filter(|byte| **byte == b'd').count(), length);
    let got = site.seen().connections[0].clone();
    assert_eq!(got.iter().rev().take_while(|byte| **byte == b'u').count(), length);
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_gets_it_from_the_site() {
    let bridge = TestBridge::start().await;
    // The site reads the body only after it has said so; its answer follows the body.
    let site = Site::start_with(&bridge, |head| match head.contains("Expect") {
        true => b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec(),
        false => Vec::new(),
    })
    .await;
    let proxy = http_proxy(&bridge).await;
    let mut client = proxy.connect().await;
    let request = |length: usize| {
        format!(
            "POST http://known.i2p:{}/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nX-Length: {length}\r\n\
             Transfer-Encoding: chunked\r\n\r\n",
            site.port
        )
    };
    client.write_all(request(2).as_bytes()).await.unwrap();
    let answered =
        timeout(SECOND * 4, head(&mut client)).await.expect("before the site's silence counts as yes");
    assert!(answered.starts_with("HTTP/1.1 100 ") || answered.starts_with("HTTP/1.1 200 "), "{answered}");
    // A site that refuses is heard before the body is sent.
    site.set_answer("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    let mut client = proxy.connect().await;
    client.write_all(request(1 << 20).as_bytes()).await.unwrap();
    let answered = timeout(LONG, head(&mut client)).await.unwrap();
    assert!(answered.starts_with("HTTP/1.1 413 "), "{answered}");
}

#[tokio::test]
async fn an_answer_that_comes_before_the_body_is_sent_is_passed_on() {
    let bridge = TestBridge::start().await;
    let site = Site::start_with(&bridge, |_| Vec::new()).await;
    site.set_answer("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    let proxy = http_proxy(&bridge).await;
    let mut client = proxy.connect().await;
    let request = format!(
        "POST http://known.i2p:{}/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        site.port
    );
    let (head, body) = timeout(LONG, ask(&mut client, &request)).await.unwrap();
    assert!(head.starts_with("HTTP/1.1 413 ") && body == "no", "{head}{body}");
}

#[tokio::test]
async fn an_upgraded_connection_is_a_stream() {
    let bridge = TestBridge::start().await;
    let switching = "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst";
    let site = Site::start(&bridge, switching).await;
    let proxy = http_proxy(&bridge).await;
    let mut client = proxy.connect().await;
    let request = |protocol: &str| {
        format!(
            "GET http://known.i2p:{}/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\
             Sec-WebSocket-Key: k\r\n\r\n",
            site.port
        )
    };
    client.write_all(request("websocket").as_bytes()).await.unwrap();
    let answer = head(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 101 ") && answer.contains("Upgrade: websocket\r\n"), "{answer}");
    assert!(!answer.contains("Content-Length") && !answer.contains("Transfer-Encoding"), "{answer}");
    let mut first = [0; 5];
    timeout(LONG, client.read_exact(&mut first)).await.unwrap().unwrap();
    assert_eq!(&first, b"first");
    // Neither side's data is HTTP any more.
    client.write_all(b"\x81\x05hello\n\n\0").await.unwrap();
    site.until(|seen| seen.connections[0].ends_with(b"\x81\x05hello\n\n\0")).await;
    assert!(site.text(0).contains("\r\nUpgrade: websocket\r\n"));

    // A site that declines: the connection ends behind its answer.
    site.set_answer(OK_AND_CLOSE);
    let answer = String::from_utf8(proxy.exchange(request("websocket").as_bytes()).await).unwrap();
    assert!(answer.contains("Connection: close\r\n") && answer.ends_with("ok"), "{answer}");
    // HTTP/2 is not offered to the site.
    let answer = String::from_utf8(proxy.exchange(request("h2c").as_bytes()).await).unwrap();
    assert!(answer.ends_with("ok"), "{answer}");
    assert!(!site.text(2).contains("Upgrade"), "{}", site.text(2));
}

#[tokio::test]
async fn a_client_that_goes_cancels_its_request() {
    let bridge = TestBridge::start().await;
    let site = Site::start_with(&bridge, |_| Vec::new()).await;
    let proxy = http_proxy(&bridge).await;
    let mut client = proxy.connect().await;
    client.write_all(get("known.i2p", site.port).as_bytes()).await.unwrap();
    site.until(|seen| seen.connections.len() == 1 && !seen.connections[0].is_empty()).await;
    drop(client);
    let begin = Instant::now();
    site.until(|seen| seen.ended == 1).await;
    assert!(begin.elapsed() < SECOND * 5, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_client_that_has_finished_sending_gets_its_answer() {
    let bridge = TestBridge::start().await;
    let site = Site::start(&bridge, OK).await;
    bridge.on("STREAM CONNECT", [Act::Wait(SECOND), Act::Dial]);
    let proxy = http_proxy(&bridge).await;
    let answer = proxy.exchange_and_finish(get("known.i2p", site.port).as_bytes()).await;
    assert!(answer.ends_with(b"ok"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn sites_that_do_not_speak_http_or_say_nothing_are_failures() {
    let bridge = TestBridge::start().await;
    let site = Site::start(&bridge, "220 mail.example ESMTP\r\n").await;
    let proxy = http_proxy_with(&bridge, SECOND).await;
    let mut client = proxy.connect().await;
    let request = get("known.i2p", site.port);
    let ask_for = async |client: &mut _| timeout(LONG, ask(client, &request)).await.unwrap();
    let garbage = [
        "220 mail.example ESMTP\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\nConnection: close\r\n\r\nxy",
        "HTTP/1.1 200 OK\r\nBad Name: x\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: \0\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 101 Unasked\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
    ];
    for answer in garbage {
        site.set_answer(answer);
        let (head, body) = ask_for(&mut client).await;
        assert!(head.starts_with("HTTP/1.1 502 ") && body.contains("not HTTP"), "{answer:?}: {head}{body}");
    }
    // The client would send it the password of the proxy.
    site.set_answer(
        "HTTP/1.1 407 Password\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n",
    );
    let (head, body) = ask_for(&mut client).await;
    assert!(head.starts_with("HTTP/1.1 502 ") && body.contains("asks for the password"), "{head}{body}");
    assert!(!head.contains("Proxy-Authenticate"), "{head}");
    let endless: &'static str =
        Box::leak(format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(1 << 20)).into_boxed_str());
    site.set_answer(endless);
    assert!(ask_for(&mut client).await.0.starts_with("HTTP/1.1 502 "));
    site.set_answer("");
    let begin = Instant::now();
    let (head, _) = ask_for(&mut client).await;
    assert!(head.starts_with("HTTP/1.1 504 ") && begin.elapsed() >= SECOND, "{head}");
    for cut in [&[][..], &[Act::Send(b"HTTP/1.1 200 OK\r\nContent-Len".to_vec())]] {
        let acts = [Act::line("STREAM STATUS RESULT=OK")].into_iter().chain(cut.iter().cloned());
        bridge.on("STREAM CONNECT", acts.chain([Act::Close]));
        let (head, body) = ask_for(&mut client).await;
        assert!(head.starts_with("HTTP/1.1 502 ") && body.contains("before it had answered"), "{head}{body}");
    }
}

/// An HTTP/1.0 client takes the end of the connection for the end of the body.
#[tokio::test]
async fn an_answer_that_is_cut_does_not_look_complete() {
    let bridge = TestBridge::start().await;
    let site = Site::start(
        &bridge,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: Connection: close\r\n\r\n5\r\nhel",
    )
    .await;
    let proxy = http_proxy(&bridge).await;
    for version in ["1.0", "1.1"] {
        let mut client = proxy.connect().await;
        let request = format!("GET http://known.i2p:{}/ HTTP/{version}\r\nHost: x\r\n\r\n", site.port);
        client.write_all(request.as_bytes()).await.unwrap();
        let (answer, is_finished) = timeout(LONG, read_to_end_or_reset(&mut client)).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(!is_finished && !answer.ends_with("0\r\n\r\n"), "{version}: {answer}");
    }
}

/// `[limits] idle` holds for an answer that is on its way.
#[tokio::test]
async fn an_answer_that_stops_is_cut_where_idle_is_limited() {
    let bridge = TestBridge::start().await;
    let site = Site::start(&bridge, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel").await;
    let limits = Limits { idle: Some(SECOND), ..Limits::default() };
    let proxy =
        proxy_with_service(&bridge, |service| service.with_access(all_protocols()).with_limits(limits)).await;
    let mut client = proxy.connect().await;
    client.write_all(get("known.i2p", site.port).as_bytes()).await.unwrap();
    let begin = Instant::now();
    let (answer, is_finished) = timeout(LONG, read_to_end_or_reset(&mut client)).await.unwrap();
    assert!(answer.ends_with(b"hel") && !is_finished, "{}", String::from_utf8_lossy(&answer));
    assert!(begin.elapsed() < SECOND * 5);
    site.until(|seen| seen.ended == 1).await;
}

#[tokio::test]
async fn a_head_has_to_arrive_in_time() {
    let bridge = TestBridge::start().await;
    let site = Site::start(&bridge, OK).await;
    let limits = Limits { handshake: SECOND / 2, linger: SECOND / 5, ..Limits::default() };
    let proxy =
        proxy_with_service(&bridge, |service| service.with_access(all_protocols()).with_limits(limits)).await;
    let mut client = proxy.connect().await;
    // The second head of a connection has a limit of its own.
    for _ in 0..2 {
        assert_eq!(ask(&mut client, &get("known.i2p", site.port)).await.1, "ok");
        tokio::time::sleep(SECOND).await;
    }
    let begin = Instant::now();
    client.write_all(b"GET http://known.i2p/ HTTP/1.1\r\n").await.unwrap();
    let (answer, _) = timeout(LONG, read_to_end_or_reset(&mut client)).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&answer));
    assert!((SECOND / 2..SECOND * 4).contains(&begin.elapsed()), "{:?}", begin.elapsed());
}

/// Credentials isolate as they do in SOCKS5, request by request.
#[tokio::test]
async fn credentials_keep_the_requests_of_one_connection_apart() {
    let bridge = TestBridge::start().await;
    let site = Site::start(&bridge, OK_AND_CLOSE).await;
    let proxy = http_proxy(&bridge).await;
    let mut client = proxy.connect().await;
    // base64 of anna:x and bert:x.
    for field in
        ["", "Proxy-Authorization: Basic YW5uYTp4\r\n", "Proxy-Authorization: Basic YmVydDp4\r\n", ""]
    {
        let request = format!("GET http://known.i2p:{}/ HTTP/1.1\r\nHost: x\r\n{field}\r\n", site.port);
        assert_eq!(ask(&mut client, &request).await.1, "ok");
    }
    let sessions: Vec<_> = bridge
        .commands()
        .into_iter()
        .filter(|line| line.starts_with("STREAM CONNECT"))
        .map(|line| line.split(' ').find(|word| word.starts_with("ID=")).unwrap().to_owned())
        .collect();
    let [nobody, anna, bert, again] = sessions.as_slice() else { panic!("{sessions:?}") };
    assert!(nobody != anna && anna != bert && nobody != bert && nobody == again, "{sessions:?}");
    let socks5 =
        [b"\x05\x01\x02\x01\x04anna\x01x\x05\x01\x00\x03\x09known.i2p", &site.port.to_be_bytes()[..]]
            .concat();
    let mut socks = proxy.connect().await;
    socks.write_all(&socks5).await.unwrap();
    socks.read_exact(&mut [0; 14]).await.unwrap();
    let last = bridge.commands().into_iter().rfind(|line| line.starts_with("STREAM CONNECT")).unwrap();
    assert!(last.contains(anna), "the same identity in both protocols");
    assert!((0..4).all(|number| !site.text(number).contains("Authorization")));
}

#[tokio::test]
async fn where_passwords_are_required_browsers_are_asked_for_one() {
    let bridge = TestBridge::start().await;
    let site = Site::start(&bridge, OK).await;
    let entry = Users::entry("anna", b"secret").unwrap();
    let access = AccessPolicy {
        authentication: Authentication::Required(Users::parse(&entry).unwrap()),
        ..all_protocols()
    };
    let proxy = proxy_with_service(&bridge, |service| service.with_access(access)).await;
    let mut client = proxy.connect().await;
    let request =
        |field: &str| format!("GET http://known.i2p:{}/ HTTP/1.1\r\nHost: x\r\n{field}\r\n", site.port);
    // base64 of anna:Secret, anna:secret.
    for (field, says) in [
        ("", "407 The proxy needs a password"),
        (
            "Proxy-Authorization: Basic YW5uYTpTZWNyZXQ=\r\n",
            "407 The user name or the password of the proxy is wrong",
        ),
        ("Proxy-Authorization: Bearer x\r\n", "407 The "),
    ] {
        let (head, _) = ask(&mut client, &request(field)).await;
        assert!(head.contains(says), "{field}: {head}");
        assert!(head.contains("Proxy-Authenticate: Basic realm=\"i2p-socks\""), "{head}");
    }
    assert_eq!(site.seen().connections.len(), 0);
    let right = "Proxy-Authorization: Basic YW5uYTpzZWNyZXQ=\r\n";
    assert_eq!(ask(&mut client, &request(right)).await.1, "ok", "on the same connection");
    let (head, _) = ask(&mut client, &request("")).await;
    assert!(head.starts_with("HTTP/1.1 407 "), "each request needs them: {head}");
}

#[tokio::test]
async fn options_with_max_forwards_ends_where_it_says() {
    let bridge = TestBridge::start().await;
    let site = Site::start(&bridge, OK).await;
    let proxy = http_proxy(&bridge).await;
    let mut client = proxy.connect().await;
    let request = |left: u32| {
        format!("OPTIONS http://known.i2p:{} HTTP/1.1\r\nHost: x\r\nMax-Forwards: {left}\r\n\r\n", site.port)
    };
    let (head, body) = ask(&mut client, &request(0)).await;
    assert!(head.starts_with("HTTP/1.1 200 ") && body.is_empty(), "{head}");
    assert_eq!(site.seen().connections.len(), 0);
    assert_eq!(ask(&mut client, &request(5)).await.1, "ok");
    let got = site.text(0);
    assert!(got.starts_with("OPTIONS * HTTP/1.1\r\n") && got.contains("\r\nMax-Forwards: 4\r\n"), "{got}");
}
