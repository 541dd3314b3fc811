//! The address book: commands with and without a running proxy, subscriptions, conflicts, jump services.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use i2p_name::Destination;
use sam_testkit::{Endpoint, TestBridge};
use serde_json::Value;

use crate::common::{
    self, Running, connect,
    site::{Site, response},
};

/// A directory with the state and the configuration of one proxy.
struct Place {
    dir: tempfile::TempDir,
    bridge: String,
}

impl Place {
    fn new(bridge: &TestBridge) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), bridge: bridge.address() }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn configure(&self, text: &str) {
        fs::write(self.dir.path().join("i2p-socks.toml"), text).unwrap();
    }

    fn args(&self, words: &[&str]) -> Vec<String> {
        let config = self.dir.path().join("i2p-socks.toml");
        if !config.exists() {
            self.configure("");
        }
        let (state, config) = (self.state(), config);
        let shared = ["--state-dir", text(&state), "--config", text(&config), "--sam", &self.bridge];
        let all = words.iter().chain(&shared).map(|word| (*word).to_owned());
        all.collect()
    }

    fn run(&self) -> Running {
        let args = self.args(&["run", "--router", "sam", "--listen", "127.0.0.1:0"]);
        Running::start(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Runs a command to its end.
    fn command(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let args = self.args(words);
        common::output(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Runs a command that succeeds. Returns what it prints.
    fn says(&self, words: &[&str]) -> String {
        let (code, stdout, stderr) = self.command(words);
        assert_eq!(code, Some(0), "{words:?}\n{stdout}{stderr}");
        stdout
    }

    /// Runs a command that succeeds and prints nothing on stdout. Returns its remarks on stderr.
    fn remarks(&self, words: &[&str]) -> String {
        let (code, stdout, stderr) = self.command(words);
        assert_eq!((code, stdout.as_str()), (Some(0), ""), "{words:?}\n{stderr}");
        stderr
    }

    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.says(&[words, &["--json"]].concat())).unwrap()
    }

    /// Runs a command that fails. Returns its error.
    fn fails(&self, words: &[&str]) -> String {
        let (code, stdout, stderr) = self.command(words);
        assert_eq!(code, Some(1), "{words:?}\n{stdout}{stderr}");
        stderr
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn destination(fill: u8) -> Destination {
    Destination::from_bytes([&[fill; 384][..], &[5, 0, 4, 0, 7, 0, 4]].concat()).unwrap()
}

/// Runs every command that changes the book, and checks the results.
fn check_all_commands(place: &Place) {
    let (one, two) = (destination(1), destination(2));
    assert_eq!(place.remarks(&["names", "list"]), "the address book is empty\n");
    assert_eq!(place.remarks(&["names", "list", "x"]), "no name in the address book begins with x\n");
    assert_eq!(place.remarks(&["names", "conflicts"]), "there are no conflicts\n");
    assert!(place.remarks(&["names", "subscribe"]).starts_with("there are no subscriptions: add one with"));
    assert_eq!(place.json(&["names", "list"]), serde_json::json!([]));
    place.says(&["names", "add", "One.i2p", &one.to_base64()]);
    place.says(&["names", "add", "one.i2p", &one.to_base64()]);
    let refused = place.fails(&["names", "add", "one.i2p", &two.to_base64()]);
    assert!(
        refused.contains("already has another destination") && refused.contains("--replace"),
        "{refused}"
    );
    let listed = place.says(&["names", "list"]);
    assert!(listed.starts_with(&format!("one.i2p  {}  2", one.b32())), "{listed}");
    assert!(listed.ends_with("Z  added by hand\n"), "{listed}");

    let hosts = place.dir.path().join("some hosts.txt");
    fs::write(&hosts, format!("one.i2p={0}\ntwo.i2p={0}\nnonsense\n", two.to_base64())).unwrap();
    let imported = place.says(&["names", "import", text(&hosts)]);
    assert!(imported.starts_with("1 added, ") && imported.contains("1 in conflict, 1 refused"), "{imported}");
    assert!(imported.contains("line 3: the line has no ="), "{imported}");
    let again = place.json(&["names", "import", text(&hosts)]);
    assert_eq!((&again["added"], &again["same"]), (&0.into(), &1.into()));
    let conflicts = place.says(&["names", "conflicts"]);
    let expected = format!("one.i2p  keeps {}\n  some hosts.txt offered {}, 2", one.b32(), two.b32());
    assert!(conflicts.starts_with(&expected), "{conflicts}");
    assert_eq!(place.json(&["names", "conflicts"])[0]["offered"], two.to_base64().as_str());
    place.says(&["names", "conflicts", "--settle", "one.i2p"]);
    assert_eq!(place.says(&["names", "conflicts"]), "");

    let listed = place.json(&["names", "list", "TWO"]);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["destinations"][0], two.to_base64().as_str());
    assert_eq!(listed[0]["source"], "some hosts.txt");
    let exported = place.says(&["names", "export"]);
    assert_eq!(exported, format!("one.i2p={}\ntwo.i2p={}\n", one.to_base64(), two.to_base64()));
    let file = place.dir.path().join("exported");
    let _ = fs::remove_file(&file);
    place.says(&["names", "export", text(&file)]);
    assert_eq!(fs::read_to_string(&file).unwrap(), exported);
    assert!(place.fails(&["names", "export", text(&file)]).contains("File exists"));

    let resolved = place.json(&["resolve", "two.i2p"]);
    assert_eq!(
        (&resolved["steps"][1]["step"], &resolved["b32"]),
        (&"the address book".into(), &two.b32().to_string().into())
    );
    place.says(&["names", "add", "--replace", "two.i2p", &one.to_base64()]);
    assert_eq!(place.json(&["resolve", "two.i2p"])["destination"], one.to_base64().as_str());

    for (words, says) in [
        (&["names", "add", "example.com", "AAAA"][..], "not a host name in I2P"),
        (&["names", "add", "a.i2p", "AAAA"], "not a destination in base64"),
        (&["names", "remove", "nobody.i2p"], "the name is not in the address book"),
        (&["names", "conflicts", "--settle", "one.i2p"], "no conflict"),
        (&["names", "import", "/nonexistent"], "cannot read /nonexistent"),
        (&["names", "import", "/tmp"], "cannot read /tmp"),
        (&["names", "unsubscribe", "http://a.i2p/"], "no such subscription"),
    ] {
        let said = place.fails(words);
        assert!(said.contains(says), "{words:?}: {said}");
    }
    let (code, _, stderr) = place.command(&["names", "subscribe", "http://example.com/hosts.txt"]);
    assert!(code == Some(64) && stderr.contains("only hosts in I2P are contacted"), "{stderr}");
    place.says(&["names", "subscribe", "http://other.i2p:81/hosts.txt"]);
    assert!(place.fails(&["names", "subscribe", "http://other.i2p:81/hosts.txt"]).contains("already exists"));
    let feeds = place.says(&["names", "subscribe"]);
    assert!(feeds.starts_with("http://other.i2p:81/hosts.txt  names subscribe  never read"), "{feeds}");
    place.says(&["names", "unsubscribe", "http://other.i2p:81/hosts.txt"]);
    assert_eq!(place.says(&["names", "subscribe"]), "");
    place.says(&["names", "remove", "one.i2p"]);
    place.says(&["names", "remove", "two.i2p"]);
    assert_eq!(place.says(&["names", "list"]), "");
    // A backup brings back what was removed since.
    let again = place.json(&["names", "import", text(&file)]);
    assert_eq!((&again["added"], &again["superseded"]), (&2.into(), &0.into()), "{again}");
    assert_eq!(place.says(&["names", "export"]), exported);
    place.says(&["names", "remove", "one.i2p"]);
    place.says(&["names", "remove", "two.i2p"]);

    // A file as Notepad and PowerShell write it, and one that is a web page.
    fs::write(&hosts, format!("\u{feff}first.i2p={}\r\n", one.to_base64())).unwrap();
    assert!(place.says(&["names", "import", text(&hosts)]).starts_with("1 added, "));
    place.says(&["names", "remove", "first.i2p"]);
    fs::write(&hosts, "<!doctype html>\n<p>a=b</p>\n").unwrap();
    assert!(place.fails(&["names", "import", text(&hosts)]).contains("neither a hosts.txt nor a feed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_work_alike_with_and_without_a_running_proxy() {
    let bridge = TestBridge::start().await;
    let (alone, beside) = (Place::new(&bridge), Place::new(&bridge));
    for words in [&["names", "list"][..], &["names", "export"], &["names", "conflicts"]] {
        assert_eq!(alone.says(words), "");
    }
    assert!(!alone.state().exists(), "looking makes nothing");
    check_all_commands(&alone);
    assert!(alone.fails(&["names", "update"]).contains("no proxy is running"));
    assert!(alone.state().join("names.redb").exists());

    let mut proxy = beside.run();
    proxy.ready();
    check_all_commands(&beside);
    assert_eq!(proxy.signal("TERM"), Some(0), "{}", proxy.said());
    assert!(!beside.state().join("control.sock").exists());
    // A killed proxy leaves its socket behind, and commands do not use it.
    let mut killed = beside.run();
    killed.ready();
    killed.signal("KILL");
    assert!(beside.state().join("control.sock").exists());
    assert_eq!(beside.says(&["names", "list"]), "");
    beside.run().ready();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_ones_own_reaches_a_destination_too_long_for_socks5() {
    let bridge = TestBridge::start().await;
    let page = bridge.host("page.i2p", Endpoint::Source(b"hello".to_vec()));
    let place = Place::new(&bridge);
    place.configure("[names]\nrouter = false\n");
    let mut proxy = place.run();
    let address = proxy.ready();
    assert_eq!(connect(address, "mine.i2p").0, 4);
    place.says(&["names", "add", "mine.i2p", &page]);
    let (code, mut stream) = connect(address, "mine.i2p");
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert_eq!((code, said.as_str()), (0, "hello"), "what was not known before is not remembered");
    assert_eq!(connect(address, "page.i2p").0, 4, "the router is not asked");
    place.says(&["names", "remove", "mine.i2p"]);
    assert_eq!(connect(address, "mine.i2p").0, 4);
    for name in ["mine.i2p", page.as_str()] {
        assert!(!proxy.said().contains(name), "{}", proxy.said());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_book_can_subscribe_to_a_well_known_feed() {
    const PROJECT: &str = "udhdrtrcetjm5sxzskjyr5ztpeszydbh4dpl3pl4utgqqw2v4jna.b32.i2p";
    let bridge = TestBridge::start().await;
    let place = Place::new(&bridge);
    place.configure("[names]\nupdate-every = '0'\n");
    let mut proxy = place.run();
    let address = proxy.ready();
    assert_eq!(connect(address, "i2p-projekt.i2p").0, 4);
    let asked = || bridge.commands().iter().any(|command| command.contains(PROJECT));
    assert!(!asked(), "clients find only what is in an address book");
    place.says(&["names", "subscribe", "http://i2p-projekt.i2p/hosts.txt"]);
    let (code, said, _) = place.command(&["names", "update"]);
    assert!(code == Some(1) && !said.contains("the name is in no address book"), "{said}");
    assert!(asked(), "{:?}", bridge.commands());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_may_point_at_what_the_configuration_lets_it_point_at() {
    let bridge = TestBridge::start().await;
    let there: Destination = bridge.host("page.i2p", Endpoint::Echo).parse().unwrap();
    let (b32, base64) = (there.b32().to_string(), there.to_base64());
    let (alone, beside) = (Place::new(&bridge), Place::new(&bridge));
    let mut proxy = beside.run();
    let address = proxy.ready();
    for place in [&alone, &beside] {
        place.says(&["names", "add", "by-b32.i2p", &b32]);
        place.says(&["names", "add", "by-base64.i2p", &base64]);
        let listed = place.says(&["names", "list"]);
        assert_eq!(listed.matches(&b32).count(), 2, "{listed}");
        for (to, says) in [
            (destination(9).b32().to_string().as_str(), "Put the name under [names.static]"),
            ("other.i2p", "not a destination in base64, and not a .b32.i2p address"),
        ] {
            let said = place.fails(&["names", "add", "a.i2p", to]);
            assert!(said.contains(says), "{to}: {said}");
        }
    }
    assert_eq!(connect(address, "by-b32.i2p").0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lists_are_complete() {
    let bridge = TestBridge::start().await;
    let place = Place::new(&bridge);
    let name = |number: u32| format!("n{number:05}.i2p");
    let lines: String =
        (0..1_234).map(|number| format!("{}={}\n", name(number), destination(3).to_base64())).collect();
    fs::create_dir(place.state()).unwrap();
    fs::write(place.state().join("hosts.txt"), &lines).unwrap();
    let mut proxy = place.run();
    let said = proxy.stderr_line("imported hosts.txt");
    assert!(said.contains("added=1234"), "{said}");
    proxy.ready();
    let listed = place.says(&["names", "list"]);
    assert!(listed.lines().map(|line| line.split(' ').next().unwrap().to_owned()).eq((0..1_234).map(name)));
    assert_eq!(place.json(&["names", "list"]).as_array().unwrap().len(), 1_234);
    assert_eq!(place.says(&["names", "export"]), lines);
    drop(proxy);
    let mut again = place.run();
    again.ready();
    assert!(!again.said().contains("hosts.txt"), "a file that has not changed is not read again");
}

/// The next answer of a site.
type Next = Arc<Mutex<Vec<u8>>>;

/// Starts a site whose answer can be changed, and subscribes the proxy to it as feed.i2p.
async fn feed(bridge: &TestBridge, place: &Place, more: &str) -> (Site, Next) {
    let next: Next = Arc::default();
    let says = Arc::clone(&next);
    let site = Site::start(&bridge.address(), move |head| match head {
        head if head.starts_with("get /moved ") => response("302 Found", "Location: /hosts.txt\r\n", ""),
        _ => says.lock().unwrap().clone(),
    })
    .await;
    place.configure(&format!("[names.static]\n'feed.i2p' = '{}'\n{more}", site.destination));
    (site, next)
}

fn hosts(names: &[(&str, u8)]) -> String {
    names.iter().map(|(name, fill)| format!("{name}={}\n", destination(*fill).to_base64())).collect()
}

const FEED: &str = "http://feed.i2p/hosts.txt";

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_read_again_only_if_it_changed() {
    let bridge = TestBridge::start().await;
    let place = Place::new(&bridge);
    let (site, next) = feed(&bridge, &place, "[names]\nupdate-every = '0'\n").await;
    let mut proxy = place.run();
    let address = proxy.ready();
    assert!(place.remarks(&["names", "update"]).contains("there are no subscriptions"));
    place.says(&["names", "subscribe", FEED]);
    let set = |answer: Vec<u8>| *next.lock().unwrap() = answer;
    let update = || place.json(&["names", "update"])[0].clone();

    // The body comes in chunks, without a length.
    let echo = bridge.host("elsewhere.i2p", Endpoint::Echo);
    assert_eq!(connect(address, "new.i2p").0, 4);
    let text = hosts(&[("a.i2p", 1)]) + &format!("new.i2p={echo}\n");
    let head = "HTTP/1.1 200 OK\r\nETag: \"one\"\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n";
    set(format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{text}\r\n0\r\n\r\n", text.len())
        .into_bytes());
    assert_eq!(update()["imported"]["added"], 2);
    assert_eq!(connect(address, "new.i2p").0, 0, "that it was unknown is forgotten");
    assert_eq!(place.json(&["resolve", "a.i2p"])["b32"], destination(1).b32().to_string());
    set(response("304 Not Modified", "", ""));
    let unchanged = update();
    assert!(unchanged["imported"].is_null() && unchanged["problem"].is_null(), "{unchanged}");
    let heads = site.heads();
    assert!(
        heads[0].starts_with("get /hosts.txt http/1.1\r\n") && heads[0].contains("\r\nhost: feed.i2p\r\n")
    );
    assert!(!heads[0].contains("if-none-match"), "{}", heads[0]);
    let conditions = ["if-none-match: \"one\"\r\n", "if-modified-since: mon, 01 jan 2024 00:00:00 gmt\r\n"];
    assert!(conditions.iter().all(|condition| heads[1].contains(condition)), "{}", heads[1]);
    assert!(!heads.concat().contains("user-agent"), "nothing says which program asks");

    // An invalid name is shown, and not followed. A command without its signature is ignored.
    let unsigned = format!("{}#!date=1#sig=AAAA\n", hosts(&[("c.i2p", 3)]).trim());
    set(response("200 OK", "ETag: \"two\"\r\n", &format!("{}{unsigned}", hosts(&[("a.i2p", 9)]))));
    let changed = update();
    assert_eq!((&changed["imported"]["conflicts"], &changed["imported"]["refused"]), (&1.into(), &1.into()));
    assert_eq!(place.json(&["names", "conflicts"])[0]["source"], FEED);
    assert_eq!(connect(address, "c.i2p").0, 4);
    update();
    assert!(site.heads().last().unwrap().contains("if-none-match: \"two\"\r\n"));

    // After a redirect, the version of the feed belongs to the new URL.
    place.says(&["names", "unsubscribe", FEED]);
    place.says(&["names", "subscribe", "http://feed.i2p/moved"]);
    set(response("200 OK", "ETag: \"three\"\r\n", &hosts(&[("d.i2p", 4)])));
    assert_eq!(update()["imported"]["added"], 1);
    assert_eq!(update()["imported"]["same"], 1);
    let heads = site.heads().split_off(4);
    let paths: Vec<_> = heads.iter().filter_map(|head| head.split(' ').nth(1)).collect();
    assert_eq!(paths, ["/moved", "/hosts.txt", "/moved", "/hosts.txt"]);
    assert!(!heads.concat().contains("if-none-match"), "{heads:?}");
    place.says(&["names", "unsubscribe", "http://feed.i2p/moved"]);
    place.says(&["names", "subscribe", FEED]);
    update();
    let listed = place.says(&["names", "subscribe"]);
    assert!(listed.starts_with(&format!("{FEED}  names subscribe  read 2")), "{listed}");

    // Feeds are read with an identity that no client has, and not with the first session.
    let whoami = bridge.host("whoami.i2p", Endpoint::Whoami);
    place.says(&["names", "add", "whoami.i2p", &whoami]);
    let mut seen = String::new();
    connect(address, "whoami.i2p").1.read_to_string(&mut seen).unwrap();
    let client = seen.trim().parse::<Destination>().unwrap().b32().to_string();
    assert!(!site.peers().contains(&client));
    assert!(!proxy.said().contains("feed.i2p") && !proxy.said().contains("a.i2p"), "{}", proxy.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_feeds_change_nothing() {
    let bridge = TestBridge::start().await;
    let place = Place::new(&bridge);
    let more = format!("[names]\nupdate-every = '0'\nsubscriptions = ['{FEED}']\n");
    let (site, next) = feed(&bridge, &place, &more).await;
    let mut proxy = place.run();
    proxy.ready();
    assert!(
        place.fails(&["names", "unsubscribe", FEED]).contains("this subscription is in the configuration")
    );
    for (answer, says) in [
        (b"nonsense\r\n\r\n".to_vec(), "not HTTP"),
        (response("404 Not Found", "", "no"), "HTTP status 404"),
        (response("304 Not Modified", "", ""), "HTTP status 304"),
        (response("301 Moved", "Location: http://example.com/hosts.txt\r\n", ""), "redirects out of I2P"),
        (response("302 Found", "Location: /again\r\n", ""), "too often"),
        (response("200 OK", "Content-Encoding: gzip\r\n", "x"), "compressed"),
        (response("200 OK", &"A: b\r\n".repeat(200), "x"), "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\na.i2p=".to_vec(), "incomplete"),
    ] {
        *next.lock().unwrap() = answer;
        let (code, stdout, stderr) = place.command(&["names", "update"]);
        assert_eq!(code, Some(1), "{says}: {stdout}{stderr}");
        assert!(stdout.contains(says), "{says}: {stdout}");
        assert!(stderr.contains("1 of 1 subscriptions could not be read"), "{stderr}");
    }
    proxy.stderr_line("a subscription could not be read: it answers with HTTP status 404");

    // A page in place of a feed is no feed that has not changed.
    let page = "<!doctype html>\n<p class=a>Please log in</p>\n";
    for _ in 0..2 {
        *next.lock().unwrap() = response("200 OK", "ETag: \"page\"\r\nContent-Type: text/html\r\n", page);
        let (code, stdout, stderr) = place.command(&["names", "update"]);
        assert!(code == Some(1) && stdout.contains("none of its lines is valid"), "{stdout}{stderr}");
        assert!(!site.heads().last().unwrap().contains("if-none-match"), "{:?}", site.heads().last());
    }
    *next.lock().unwrap() = b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\na.i2p=".to_vec();
    assert!(place.command(&["names", "update"]).1.contains("incomplete"));
    let listed = place.says(&["names", "subscribe"]);
    assert!(listed.contains("configuration  never read  its answer is incomplete"), "{listed}");
    assert_eq!(place.says(&["names", "list"]), "");

    // The body is larger than the limit: whole lines within it are used, and the next request has no condition.
    let mut body = hosts(&[("first.i2p", 1)]);
    body += &"#\n".repeat(3 * 1024 * 1024);
    body += &hosts(&[("last.i2p", 2)]);
    *next.lock().unwrap() = response("200 OK", "ETag: \"big\"\r\n", &body);
    let cut = place.json(&["names", "update"])[0].clone();
    assert_eq!((&cut["imported"]["added"], &cut["imported"]["cut"]), (&1.into(), &true.into()), "{cut}");
    *next.lock().unwrap() = response("200 OK", "", &hosts(&[("last.i2p", 2)]));
    assert_eq!(place.json(&["names", "update"])[0]["imported"]["added"], 1);
    assert!(!site.heads().last().unwrap().contains("if-none-match"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_subscription_is_read_without_a_command() {
    let bridge = TestBridge::start().await;
    let (by_file, by_command) = (Place::new(&bridge), Place::new(&bridge));
    let (first, next) = feed(&bridge, &by_file, &format!("[names]\nsubscriptions = ['{FEED}']\n")).await;
    *next.lock().unwrap() = response("200 OK", "", &hosts(&[("a.i2p", 1)]));
    let (second, next) = feed(&bridge, &by_command, "").await;
    *next.lock().unwrap() = response("200 OK", "", &hosts(&[("b.i2p", 2)]));
    let (mut one, mut other) = (by_file.run(), by_command.run());
    other.ready();
    by_command.says(&["names", "subscribe", FEED]);
    for (proxy, site) in [(&mut one, first), (&mut other, second)] {
        let said = proxy.stderr_line("a subscription was read");
        assert!(said.contains("added=1"), "{said}");
        assert_eq!(site.heads().len(), 1);
    }
}

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
    assert_eq!(warnings, 1, "clients cannot fill the log: {}", proxy.said());
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

#[tokio::test(flavor = "multi_thread")]
async fn without_its_book_or_directory_the_proxy_warns_and_runs() {
    let bridge = TestBridge::start().await;
    let place = Place::new(&bridge);
    let known =
        |proxy: &mut Running| assert_eq!(connect(proxy.ready(), "known.i2p").0, 0, "{}", proxy.said());

    let mut first = place.run();
    known(&mut first);
    let mut second = place.run();
    second.stderr_line("another i2p-socks is running with it. The proxy runs without its own address book");
    known(&mut second);
    drop((first, second));

    fs::write(place.state().join("names.redb"), "nonsense").unwrap();
    let mut damaged = place.run();
    let said = damaged.stderr_line("is damaged or not an address book; move it away");
    assert!(said.contains("no names are found in it"), "{said}");
    known(&mut damaged);
    let why = place.fails(&["names", "list"]);
    assert!(why.contains("damaged") && why.contains("restart the proxy"), "{why}");
    drop(damaged);
    assert!(place.fails(&["names", "list"]).contains("damaged"));
    assert_eq!(fs::read_to_string(place.state().join("names.redb")).unwrap(), "nonsense");

    fs::remove_dir_all(place.state()).unwrap();
    fs::write(place.state(), "no directory").unwrap();
    let mut nowhere = place.run();
    nowhere.stderr_line("cannot be used");
    known(&mut nowhere);
    drop(nowhere);
    place.configure(&format!("[names]\nsubscriptions = ['{FEED}']\n"));
    let needed = place.fails(&["run", "--router", "sam", "--listen", "127.0.0.1:0"]);
    assert!(needed.contains("cannot be used") && needed.contains("need it to store names"), "{needed}");

    fs::remove_file(place.state()).unwrap();
    place.configure("[names]\nbook = false\n");
    let mut without = place.run();
    known(&mut without);
    assert!(!place.state().join("names.redb").exists());
    assert!(place.fails(&["names", "list"]).contains("book = false"));
    let (_, stdout, _) = place.command(&["resolve", "known.i2p"]);
    assert!(!stdout.contains("the address book:"), "{stdout}");
}
