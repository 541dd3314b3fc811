//! Jump services, which are asked for names that nobody else knows.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use i2p_name::Destination;
use sam_testkit::{Endpoint, TestBridge};

use crate::common::{
    connect,
    place::{Place, destination},
    site::{Site, response},
};

/// The reply code of a SOCKS5 CONNECT by name of a user with a password, and the open stream.
fn connect_as(proxy: SocketAddr, user: &str, host: &str) -> (u8, TcpStream) {
    let mut stream = TcpStream::connect(proxy).unwrap();
    let length = |text: &str| u8::try_from(text.len()).unwrap();
    let login = [&[5, 1, 2, 1, length(user)], user.as_bytes(), &[1, b'x']].concat();
    stream.write_all(&[&login[..], &[5, 1, 0, 3, length(host)], host.as_bytes(), &[0, 80]].concat()).unwrap();
    let mut answer = [0; 14];
    stream.read_exact(&mut answer).unwrap();
    (answer[5], stream)
}

/// A jump service that knows `wanted.i2p` and `removed.i2p`.
async fn jump_service(bridge: &TestBridge) -> Site {
    let wanted = bridge.host("elsewhere.i2p", Endpoint::Echo);
    let link = format!("http://wanted.i2p/?i2paddresshelper={wanted}");
    Site::start(&bridge.address(), move |head| match head {
        head if head.starts_with("get /jump?a=wanted.i2p ") => {
            response("302 Found", &format!("Location: {link}\r\n"), "")
        }
        head if head.starts_with("get /jump?a=removed.i2p ") => response(
            "200 OK",
            "",
            &format!("<a href=\"http://removed.i2p/?i2paddresshelper={}\">", destination(7).to_base64()),
        ),
        _ => response("404 Not Found", "", "nobody knows"),
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_service_is_asked_last_by_each_identity_as_itself() {
    let bridge = TestBridge::start().await;
    let place = Place::new(&bridge);
    let service = jump_service(&bridge).await;
    bridge.host("whoami.i2p", Endpoint::Whoami);
    place.configure(&format!(
        "[names]\njump = ['http://nowhere.i2p/?a=', 'http://{}/jump?a=']\n",
        service.b32
    ));
    let mut proxy = place.run();
    let address = proxy.ready();
    assert_eq!(connect(address, "known.i2p").0, 0);
    assert_eq!(service.heads().len(), 0, "the router knows that one");
    let mut clients = Vec::new();
    for (asked, user) in (1..).zip(["alice", "bob", "carol"]) {
        for _ in 0..3 {
            assert_eq!(connect_as(address, user, "wanted.i2p").0, 0, "{user}");
            assert_eq!(connect_as(address, user, "nobody.i2p").0, 4, "{user}");
        }
        assert_eq!(service.heads().len(), 2 * asked, "{user} asks once for each name");
        let mut seen = String::new();
        connect_as(address, user, "whoami.i2p").1.read_to_string(&mut seen).unwrap();
        clients.push(seen.trim().parse::<Destination>().unwrap().b32().to_string());
    }
    let by_each: Vec<_> = clients.iter().flat_map(|client| [client.clone(), client.clone()]).collect();
    assert_eq!(service.peers(), by_each, "the service sees the identity that will visit the site");

    // The disk says nothing of it.
    assert_eq!(place.json(&["names", "list"]), serde_json::json!([]));
    for entry in fs::read_dir(place.state()).unwrap().flatten() {
        let Ok(bytes) = fs::read(entry.path()) else { continue };
        for name in ["wanted.i2p", "nobody.i2p", "jump?a=", &service.b32] {
            let found = bytes.windows(name.len()).any(|part| part == name.as_bytes());
            assert!(!found, "{name} is in {}", entry.path().display());
        }
    }

    // A destination that a person has removed from a name is not brought back.
    place.says(&["names", "add", "removed.i2p", &destination(7).to_base64()]);
    place.says(&["names", "remove", "removed.i2p"]);
    let before = service.heads().len();
    assert_eq!(connect(address, "removed.i2p").0, 4);
    assert_eq!(service.heads().len(), before + 1);
    let resolved = place.command(&["resolve", "nobody.i2p"]).1;
    assert!(resolved.contains("the jump services: not asked; the proxy asks them"), "{resolved}");
    for name in ["wanted.i2p", "nobody.i2p", "jump?a="] {
        assert!(!proxy.said().contains(name), "{}", proxy.said());
    }
    let warnings = proxy.said().matches("a jump service failed").count();
    assert!((1..=5).contains(&warnings), "clients cannot fill the log: {}", proxy.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_service_needs_no_address_book() {
    let bridge = TestBridge::start().await;
    let place = Place::new(&bridge);
    let service = jump_service(&bridge).await;
    place.configure(&format!("[names]\nbook = false\njump = ['http://{}/jump?a=']\n", service.b32));
    let mut proxy = place.run();
    assert_eq!(connect(proxy.ready(), "wanted.i2p").0, 0, "{}", proxy.said());
}
