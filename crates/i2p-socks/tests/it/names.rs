//! The address book: commands with and without a running proxy, and what happens without a book.

use std::{fs, io::Read};

use i2p_name::Destination;
use sam_testkit::{Dialect, Endpoint, TestBridge};

use crate::common::{
    Running, connect,
    place::{Place, destination, text},
};

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
    assert_eq!(place.says(&["names", "export", "-"]), exported);
    let second = place.dir.path().join("exported for a program");
    let _ = fs::remove_file(&second);
    assert_eq!(place.json(&["names", "export", text(&second)]), serde_json::json!({ "done": true }));
    assert!(
        place
            .fails(&["names", "export", text(&file)])
            .contains("is already there, and an export never overwrites a file")
    );

    let resolved = place.json(&["resolve", "two.i2p"]);
    assert_eq!(
        (&resolved["steps"][1]["step"], &resolved["b32"]),
        (&"the address book".into(), &two.b32().to_string().into())
    );
    let replaced = place.remarks(&["names", "add", "--replace", "two.i2p", &one.to_base64()]);
    assert_eq!(replaced, "set the destination of two.i2p\n");
    assert_eq!(place.json(&["resolve", "two.i2p"])["destination"], one.to_base64().as_str());

    for (words, says) in [
        (&["names", "add", "example.com", "AAAA"][..], "not a host name in I2P"),
        (&["names", "add", "a.i2p", "AAAA"], "not a destination in base64"),
        (&["names", "add", "proxy.i2p", &one.to_base64()], "the name is reserved"),
    ] {
        let (code, _, said) = place.command(words);
        assert!(code == Some(64) && said.contains(says), "{words:?}: {said}");
    }
    for (words, says) in [
        (&["resolve", "Proxy.i2p"][..], "the proxy has no address in I2P"),
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
    let b32 = one.b32().to_string();
    for (host, is_known) in [("other.i2p", false), ("one.i2p", true), ("stats.i2p", true), (&b32, true)] {
        let feed = format!("http://{host}/hosts.txt");
        let said = place.remarks(&["names", "subscribe", &feed]);
        assert_eq!(!said.contains("is not in the address book"), is_known, "{host}: {said}");
        place.says(&["names", "unsubscribe", &feed]);
    }
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
    let update = alone.fails(&["names", "update"]);
    let state_dir = format!("no proxy is running with the state directory {}", alone.state().display());
    assert!(update.contains(&state_dir), "{update}");
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

/// The next export would find the file in its way.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_fails_leaves_no_file() {
    let bridge = TestBridge::start().await;
    let place = Place::new(&bridge);
    place.says(&["names", "add", "web.i2p", &destination(1).to_base64()]);
    let mut proxy = place.run();
    proxy.ready();
    let file = place.dir.path().join("exported");
    // No file of this process may have a byte.
    let limited = "trap '' XFSZ; ulimit -f 0; exec \"$@\"";
    let exported = std::process::Command::new("sh")
        .args(["-c", limited, "sh", env!("CARGO_BIN_EXE_i2p-socks"), "names", "export", text(&file)])
        .args(["--state-dir", text(&place.state())])
        .output()
        .unwrap();
    let said = String::from_utf8(exported.stderr).unwrap();
    assert!(exported.status.code() == Some(1) && said.contains("cannot write"), "{said}");
    assert!(!file.exists());
}

/// Without a word, somebody wonders whether the command has done anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_changes_the_book_says_what_it_has_done() {
    let bridge = TestBridge::start().await;
    let place = Place::new(&bridge);
    let (one, url, file) =
        (destination(1).to_base64(), "http://stats.i2p/hosts.txt", place.dir.path().join("out"));
    let file = text(&file);
    for (words, says) in [
        (&["names", "add", "web.i2p", &one][..], "added web.i2p\n".to_owned()),
        (&["names", "export", file], format!("wrote all names to {file}\n")),
        (&["names", "subscribe", url], "subscribed to http://stats.i2p/hosts.txt\n".to_owned()),
        (&["names", "unsubscribe", url], "unsubscribed from http://stats.i2p/hosts.txt\n".to_owned()),
        (&["names", "remove", "web.i2p"], "removed web.i2p\n".to_owned()),
    ] {
        assert_eq!(place.remarks(words), says);
        let _ = fs::remove_file(file);
    }
    for words in [
        &["names", "add", "web.i2p", &one][..],
        &["names", "export", file],
        &["names", "subscribe", url],
        &["names", "unsubscribe", url],
        &["names", "remove", "web.i2p"],
    ] {
        assert_eq!(place.remarks(&[words, &["--quiet"]].concat()), "", "{words:?}");
    }
    let json = ["names", "add", "web.i2p", &one, "--json"];
    assert_eq!(place.command(&json), (Some(0), "{\n  \"done\": true\n}\n".to_owned(), String::new()));
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
        for (to, says, exit) in [
            (destination(9).b32().to_string().as_str(), "Put the name under [names.static]", 1),
            ("other.i2p", "not a destination in base64, and not a .b32.i2p address", 64),
        ] {
            let (code, _, said) = place.command(&["names", "add", "a.i2p", to]);
            assert!(code == Some(exit) && said.contains(says), "{to}: {said}");
        }
    }
    assert_eq!(connect(address, "by-b32.i2p").0, 0);
}

/// emissary looks an address up for sessions only.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_looked_up_over_a_session_where_the_router_wants_one() {
    let bridge = TestBridge::start_as(Dialect::Emissary).await;
    let there: Destination = bridge.host("page.i2p", Endpoint::Echo).parse().unwrap();
    let b32 = there.b32().to_string();
    let place = Place::new(&bridge);
    let said = place.fails(&["names", "add", "alone.i2p", &b32]);
    assert!(said.contains("start i2p-socks run and repeat the command"), "{said}");
    let mut proxy = place.run();
    let address = proxy.ready();
    place.says(&["names", "add", "by-b32.i2p", &b32]);
    assert!(place.says(&["names", "list"]).contains(&b32));
    assert_eq!(connect(address, "by-b32.i2p").0, 0);
    let gone = destination(9).b32().to_string();
    let said = place.fails(&["names", "add", "gone.i2p", &gone]);
    assert!(
        said.contains("the destination cannot be reached") && !said.contains("address book knows"),
        "{said}"
    );
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

    // That other users can write to it is said once.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::remove_file(place.state()).unwrap();
        fs::create_dir(place.state()).unwrap();
        fs::set_permissions(place.state(), fs::Permissions::from_mode(0o777)).unwrap();
        let mut open = place.run();
        open.stderr_line("cannot be used");
        known(&mut open);
        assert_eq!(open.said().matches("WARN").count(), 1, "{}", open.said());
        drop(open);
        fs::remove_dir_all(place.state()).unwrap();
        fs::write(place.state(), "no directory").unwrap();
    }
    place.configure("[names]\nsubscriptions = ['http://feed.i2p/hosts.txt']\n");
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
