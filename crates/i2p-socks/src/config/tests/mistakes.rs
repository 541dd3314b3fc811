//! What is said of mistakes in a file: where they are, what is expected, and nothing private in the log.

use super::*;

#[test]
fn mistakes_say_where_and_what_is_expected() {
    for (text, says) in [
        ("[router]\nbackend = 'java'", "line 2, column 11"),
        ("[router]\nbackend = 'java'", "`auto`, `sam`, `i2pd`, `embedded`"),
        ("[router]\nsam = '7656'", "expected HOST:PORT"),
        ("[router]\nsam = '127.0.0.1:0'", "expected HOST:PORT"),
        ("[router]\nsam = '::1:7656'", "expected HOST:PORT"),
        ("[router]\nsam = \"a b:7656\"", "expected HOST:PORT"),
        ("[router]\nsam = 'unix:sam'", "expected unix:/PATH"),
        ("[router]\nnetwork-id = 300", "300 is not between 0 and 255"),
        ("[session]\nlength = 8", "8 is not between 0 and 7"),
        ("[session]\nquantity = 0", "0 is not between 1 and 16"),
        ("[session]\nlenght = 1", "unknown field `lenght`, expected one of `length`, `quantity`"),
        ("[session]\nidle-close = '30'", "30 is not a duration, expected \"30s\" for seconds"),
        ("[session]\nidle-close = 30", "line 2, column 14"),
        ("[session]\nmax-sessions = 0", "0 is not between 1 and 64"),
        ("[names]\nsubscriptions = ['http://example.com/hosts.txt']", "only hosts in I2P are contacted"),
        ("[names]\njump = ['https://stats.i2p/?a=']", "expected a URL in I2P"),
        ("[names]\nupdate-every = '5m'", "less than 1h"),
        ("[session]\nreopen-with = 'keys'", "expected `new-keys` or `same-keys`"),
        ("[[tunnel]]\nname = '../x'", "lower-case letters, digits and hyphens"),
        ("[[tunnel]]\nisolate = ['user']", "unknown variant `user`, expected one of `client`, `socks-auth`"),
        ("[router]\nsam-udp = 'x'", "line 2, column 11"),
        ("[[tunnel]]\nlisten = ['localhost:4450']", "expected IP:PORT"),
        ("[router]\nsam-udp = 'localhost'", "expected IP:PORT, such as 127.0.0.1:7655"),
        ("[[tunnel]]\nlisten = []", "needs at least one address"),
        ("[tunnel]\nlisten = ['127.0.0.1:1']", "line 1, column 1"),
        ("[tunnel]\nlisten = ['127.0.0.1:1']", "in double brackets"),
        ("[session]\nlength = 1\nlength = 2", "line 3"),
        ("[[tunnel]]\nlisten = ['fd:']", "expected fd:NAME"),
        ("[[tunnel]]\nlisten = ['fd:a b']", "expected fd:NAME"),
        ("[[tunnel]]\nunix-mode = '0999'", "expected permissions"),
        ("[[tunnel]]\nunix-mode = '1777'", "expected permissions"),
        ("[[tunnel]]\nunix-mode = 600", "line 2, column 13"),
        ("[[tunnel]]\nprotocols = []", "needs at least one protocol"),
        (
            "[[tunnel]]\nprotocols = ['https']",
            "expected one of `socks4`, `socks4a`, `socks5`, `http-connect`, `http`",
        ),
        ("[[tunnel]]\nauth = 'none'", "expected `isolation` or `required`"),
        ("[limits]\nconnections = 0", "line 2, column 15"),
        ("[limits]\nhandshake = '0'", "greater than zero"),
        ("[limits]\nidle = 'x'", "\"x\" is not a duration, expected a duration such as"),
    ] {
        let error = Config::parse(text).unwrap_err().to_string();
        assert!(error.contains(says), "{text:?} says\n{error}");
    }
}

#[test]
fn the_log_shows_no_name_of_a_refused_configuration() {
    let text = "[names.static]\n\"a.i2p\" = \"private.i2p\"\n";
    let error = error_of(text);
    assert!(error.to_string().contains("\"private.i2p\" is another name"), "{error}");
    let log = error.for_log();
    assert!(!log.contains("private") && log.contains("[scrubbed] is another name"), "{log}");
    let b32 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b32.i2p";
    for (text, says) in [
        (
            format!("[names.static]\n'private.i2p' = '{b32}'\n'Private.i2p.' = '{b32}'\n"),
            "\"private.i2p\" is there twice",
        ),
        (
            "[virtual-addresses.map]\n'fd00::1' = 'a.i2p'\n'fd00:0::1' = 'b.i2p'\n".to_owned(),
            "\"fd00::1\" is there twice",
        ),
    ] {
        let error = error_of(&text);
        assert!(error.to_string().contains(says), "{error}");
        let log = error.for_log();
        assert!(!log.contains("private") && log.contains("[scrubbed] is there twice"), "{log}");
    }
    for (text, expected) in [
        ("[names]\nrouter = 1\n", "in line 2: invalid type: integer [scrubbed], expected a boolean"),
        ("\n'secret.i2p' = 1\n", "in line 2: unknown key [scrubbed], expected one of `"),
        ("'x`, expected `secret.i2p' = 1\n", "in line 1: unknown key [scrubbed], expected one of `"),
        ("[[route]]\nhost = '*'\n", "missing key `via`"),
    ] {
        let log = error_of(text).for_log().to_owned();
        assert!(!log.contains("secret") && log.contains(expected), "{log}");
    }
}

/// Somebody who sees one of these messages knows what to write.
#[test]
fn a_value_with_or_without_quotes_by_mistake_is_answered_with_what_to_write() {
    for (text, says) in [
        ("[limits]\ndial = 30", "30 is not a duration, expected \"30s\" for seconds"),
        ("[limits]\ndial = '30'", "30 is not a duration, expected \"30s\" for seconds"),
        (
            "[limits]\ndial = 0",
            "\"0\" is not a duration, expected a duration greater than zero, such as \"30s\"",
        ),
        ("[limits]\nidle = 90", "90 is not a duration, expected \"90s\" for seconds"),
        ("[limits]\nidle = 0", "expected a text in quotes, found the number 0: write \"0\""),
        ("[limits]\nidle = true", "\"true\" is not a duration, expected a duration such as \"90s\""),
        ("[names]\nupdate-every = 12", "12 is not a duration, expected \"12s\" for seconds"),
        ("[shutdown]\ngrace = 10", "10 is not a duration, expected \"10s\" for seconds"),
        (
            "[limits]\nconnections = '5'",
            "expected a whole number from 1 to 4294967295, found the text \"5\": write 5 without quotes",
        ),
        (
            "[limits]\nper-client = '5'",
            "expected a whole number from 0 to 4294967295, found the text \"5\": write 5 without quotes",
        ),
        (
            "[session]\nlength = '3'",
            "expected a whole number from 0 to 7, found the text \"3\": write 3 without quotes",
        ),
        (
            "[virtual-addresses]\nmax = '5'",
            "expected a whole number, found the text \"5\": write 5 without quotes",
        ),
        (
            "[names]\nbook = 'true'",
            "expected true or false, without quotes, found the text \"true\": write true",
        ),
        ("[[tunnel]]\nearly-data = 'false'", "found the text \"false\": write false"),
        ("[[tunnel]]\nname = 5", "expected a text in quotes, found the number 5: write \"5\""),
        ("[[tunnel]]\nunix-mode = 660", "found the number 660: write \"660\""),
        (
            "[session]\nlength = '3'",
            "expected a whole number from 0 to 7, found the text \"3\": write 3 without quotes",
        ),
        ("[session]\nquantity = '03'", "write 3 without quotes"),
        ("[session]\nquantity = 03", "write 3, or \"03\" if a text is expected"),
        ("[virtual-addresses]\nipv4 = 0\n", "expected a range such as 250.0.0.0/8"),
        ("[[tunnel]]\nunix-mode = 6", "expected permissions such as \"0600\""),
        ("[[tunnel]]\nlisten = 4450", "expected IP:PORT"),
        ("[[tunnel]]\nlisten = [4450]", "expected IP:PORT"),
        ("[router]\nsam = 7656", "expected HOST:PORT"),
        ("[router]\nuser = 5", "expected a text in quotes, found the number 5: write \"5\""),
        ("[admin]\nlisten = 4480", "expected off, IP:PORT"),
        ("[log]\nlevel = 5", "unknown value `5`, expected one of `warn`, `info`"),
        ("[[tunnel]]\nisolate = ['client', 5]", "unknown value `5`, expected one of `client`"),
        ("[limits]\ndial = 30s", "a text needs quotes: write \"30s\""),
        ("[router]\nsam = 127.0.0.1:7656 # i2pd", "a text needs quotes: write \"127.0.0.1:7656\""),
        ("[[tunnel]]\nname = web", "a text needs quotes: write \"web\""),
        ("[limits]\nconnections = 5\nconnections = 6", "\nduplicate key: an earlier line has it as well"),
        ("[names]\nbook = true\nbook = true", "\nduplicate key: an earlier line has it as well"),
        ("[limits]\ndial = '5s'\ndial = '6s'", "\nduplicate key: an earlier line has it as well"),
        ("[limits]\n[limits]", "\nduplicate key: an earlier line has it as well"),
        ("[limits]\ndial = '5s'\ndial = 30s", "a text needs quotes: write \"30s\""),
        ("limits = 3", "expected a table, found the number 3"),
        ("session = 'x'", "expected a table, found the text \"x\""),
        ("[limits]\nconnections = -1", "expected a whole number from 1 to 4294967295, found the number -1"),
        ("[limits]\nconnections = 99999999999999999999", "found the number 99999999999999999999"),
        ("[names]\nsubscriptions = ['https://a.i2p/']", "https is not needed"),
        ("[names.static]\n'mail.i2p' = 'x'", "\"mail.i2p\": the name is reserved"),
        ("[[tunnel]]\nname = \"web", "invalid basic string"),
    ] {
        let said = error_of(text).to_string();
        assert!(said.contains(says), "{text:?} says\n{said}\nand not {says}");
        assert!(!said.contains("invalid type"), "{said}");
    }
    // Without quotes, they would be wrong as well.
    for text in ["[session]\nlength = '8'", "[limits]\nconnections = '0'", "[session]\nquantity = '-1'"] {
        let said = error_of(text).to_string();
        assert!(said.contains("expected a whole number from ") && !said.contains("without quotes"), "{said}");
    }
}

/// That it is missing would be one mistake more than there is.
#[test]
fn a_wrong_value_is_not_also_missing() {
    for (text, mistakes, says) in [
        ("[[outproxy]]\nname = 'o'\nat = 'o.i2p'\nprotocol = 'http'\n", 1, "unknown value `http`"),
        ("[[route]]\nvia = []\n[[route]]\nvia = 'reject'\nport = 'x'\n", 2, "line 2, column 7"),
        ("[[outproxy]]\nname = 'o'\nat = 'o.i2p'\n", 1, "missing key `protocol`"),
        ("[names]\nsubscriptions = ['https://a.i2p/', 'http://b.i2p/', 'x']\n", 2, "line 2, column 53"),
    ] {
        let said = error_of(text).to_string();
        assert_eq!(said.matches("line ").count(), mistakes, "{said}");
        assert!(said.contains(says), "{says}:\n{said}");
    }
}

#[test]
fn all_mistakes_of_a_file_are_reported_in_our_words() {
    let text = "[limits]\nidle = 5\n[names]\nbook = 'yes'\nrooter = true\n\
                [[tunnel]]\nlisten = [4459, '127.0.0.1:1', 'x']\nname = 'A B'\n[nonsense]\na = 1\n[log]\nlevel = ['debug']\n";
    let error = error_of(text);
    let said = error.to_string();
    for expected in [
        "has 8 errors",
        "line 2, column 8",
        "expected true or false, without quotes, found the text \"yes\"",
        "unknown key `rooter`",
        "line 7, column 11",
        "expected IP:PORT",
        "expected a name of 1 to 32",
        "unknown key `nonsense`",
        "line 12, column 9",
    ] {
        assert!(said.contains(expected), "{expected}:\n{said}");
    }
    for rust in ["invalid type", "sequence", "struct", "TOML parse error"] {
        assert!(!said.contains(rust), "{rust}:\n{said}");
    }
    let log = error.for_log().to_owned();
    assert!(!log.contains("yes") && !log.contains("4459"), "{log}");
}

#[test]
fn a_filter_without_its_protocol_is_one_mistake() {
    let filter = "[[filter]]\nport = 6667\n";
    for (written, says) in [
        ("", "missing key `protocol`"),
        ("protocol = 'IRC'\n", "expected"),
        ("protocol = ''\n", "expected"),
        ("protocol = ['irc']\n", "expected"),
    ] {
        let text = format!("{filter}{written}[session]\nlength = 9\n");
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        let options = Options { config: Some(file.path().into()), ..Options::default() };
        let error = Config::load(&options).unwrap_err().to_string();
        assert!(error.contains("has 2 errors\n") && error.contains(says), "{written}: {error:.900}");
    }
}

#[test]
fn many_mistakes_are_all_reported_and_very_many_are_not_taken_for_all() {
    for (count, says) in [(150, "has 150 errors\n"), (300, "has 200 errors or more\n")] {
        let keys: String = (0..count).map(|number| format!("k{number} = 1\n")).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), format!("[session]\n{keys}")).unwrap();
        let options = Options { config: Some(file.path().into()), ..Options::default() };
        let error = Config::load(&options).unwrap_err().to_string();
        assert!(error.contains(says), "{error:.200}");
    }
}
