//! Keys that the command line and the environment give, in the place of what the file says.

use std::{fmt, str::FromStr};

use toml::{Table, Value};

use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// Tables of which there may be several. Those of the first two have names.
const LISTS: [&str; 3] = ["tunnel", "outproxy", "route"];
/// The tunnel that there is where the file has none.
const DEFAULT_TUNNEL: &str = "default";
/// Tables whose keys are names and addresses: with dots, and not for that tables again.
const OF_NAMES: [[&str; 2]; 2] = [["names", "static"], ["virtual-addresses", "map"]];

/// A key with a value for it: `limits.dial=30s`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Given {
    /// As a mistake calls it.
    origin: String,
    path: Vec<String>,
    value: Value,
}

/// `-o`.
impl FromStr for Given {
    type Err = String;

    /// A key as TOML writes it, with tables before it, and behind the first `=` a value as TOML writes it, or a text without
    /// quotes.
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected KEY=VALUE, such as limits.dial=30s or tunnel.default.udp=datagram";
        let (key, value) = split(text).ok_or(expected)?;
        let mut path = path(key).ok_or_else(|| format!("{key:?} is no key; {expected}"))?;
        if let [first, second, names @ ..] = path.as_slice()
            && OF_NAMES.contains(&[first, second])
            && names.len() > 1
        {
            let name = names.join(".");
            path.truncate(2);
            path.push(name);
        }
        Ok(Self { origin: format!("-o {}", key.trim()), path, value: value_of(value) })
    }
}

/// At the first `=` that is not within quotes.
fn split(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    let (at, _) = text.char_indices().find(|(_, c)| match (quote, c) {
        (None, '=') => true,
        (None, '"' | '\'') => {
            quote = Some(*c);
            false
        }
        (Some(open), c) if open == *c => {
            quote = None;
            false
        }
        _ => false,
    })?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// The names of a key, outermost first, as TOML reads them.
fn path(key: &str) -> Option<Vec<String>> {
    let one_line = !key.contains(['\n', '\r', '#']);
    let mut table: Table = one_line.then(|| toml::from_str(&format!("{key} = 0")).ok())??;
    let mut path = Vec::new();
    loop {
        let (name, value) = table.into_iter().next()?;
        path.push(name);
        match value {
            Value::Table(inner) => table = inner,
            _ => return Some(path),
        }
    }
}

/// What TOML makes of it; what is nothing in TOML is text.
fn value_of(text: &str) -> Value {
    let table: Option<Table> = toml::from_str(&format!("value = {text}")).ok();
    let one = table.filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"));
    one.unwrap_or_else(|| Value::String(text.trim().to_owned()))
}

impl Given {
    /// What an option of its own gives: a key of the one tunnel, or of a table.
    pub(super) fn by(option: &str, path: &[&str], value: impl Into<Value>) -> Self {
        let path = path.iter().map(|name| (*name).to_owned()).collect();
        Self { origin: option.to_owned(), path, value: value.into() }
    }

    /// What else it can mean: what looks like a number, a boolean or a date may be text, and what is one, a list of one.
    fn readings(&self) -> Vec<Self> {
        let text = match &self.value {
            Value::Array(_) | Value::Table(_) => return Vec::new(),
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        let list = Value::Array(vec![text.clone().into()]);
        [text.into(), list].map(|value| Self { value, ..self.clone() }).into()
    }

    fn put_into(&self, table: &mut Table) -> Result<(), String> {
        let Some((last, tables)) = self.path.split_last() else { return Ok(()) };
        let mut tables = tables.iter();
        let mut inner = table;
        let mut outermost = true;
        while let Some(name) = tables.next() {
            if outermost && LISTS.contains(&name.as_str()) {
                let which = tables.next().ok_or_else(|| which_of(name))?;
                inner = one_of(inner, name, which)?;
            } else {
                let value = inner.entry(name).or_insert_with(|| Table::new().into());
                inner = value.as_table_mut().ok_or_else(|| format!("{name} is no table"))?;
            }
            outermost = false;
        }
        inner.insert(last.clone(), self.value.clone());
        Ok(())
    }
}

fn which_of(list: &str) -> String {
    match list {
        "route" => "say which one, by its number: -o route.1.via=reject".to_owned(),
        list => format!("say which one, by its name: -o {list}.NAME.KEY=VALUE"),
    }
}

/// One of several tables: by its name, or, where they have none, by its number.
fn one_of<'a>(table: &'a mut Table, list: &str, which: &str) -> Result<&'a mut Table, String> {
    if list == "tunnel" && !table.contains_key(list) {
        table.insert(list.to_owned(), vec![Table::new()].into());
    }
    let Some(all) = table.get_mut(list).and_then(Value::as_array_mut) else {
        return Err(format!("there is no [[{list}]] to change"));
    };
    let name = |index: usize, one: &Value| match (list, one.get("name").and_then(Value::as_str)) {
        ("route", _) => (index + 1).to_string(),
        (_, Some(name)) => name.to_owned(),
        _ => DEFAULT_TUNNEL.to_owned(),
    };
    let names: Vec<_> = all.iter().enumerate().map(|(index, one)| name(index, one)).collect();
    let found = names.iter().position(|name| name == which).and_then(|index| all.get_mut(index));
    let unknown = || format!("there is no [[{list}]] {which}; there is {}", names.join(", "));
    found.and_then(Value::as_table_mut).ok_or_else(unknown)
}

/// A file's keys with these in their place, the later before the earlier.
///
/// # Errors
/// The first mistake, with the option that makes it.
pub(super) fn put_together<T: DeserializeOwned>(file: &Table, given: &[Given]) -> Result<T, Failure> {
    let given: Vec<_> = given.iter().map(|one| as_its_key_takes_it::<T>(file, one)).collect();
    let last = match all(file, &given) {
        Ok(config) => return Ok(config),
        Err(mistake) => mistake,
    };
    // Whose mistake it is: what is right without one is that one's; of several, that with which the first comes up.
    let without = |index: usize| {
        let others = given.iter().enumerate().filter(|(other, _)| *other != index);
        all::<T>(file, &others.map(|(_, one)| one.clone()).collect::<Vec<_>>()).is_ok()
    };
    let comes_up = |index: usize| {
        let up_to = given.get(..=index).unwrap_or_default();
        all::<T>(file, up_to).is_err_and(|mistake| mistake == last)
    };
    let indexes = || 0..given.len();
    let index = indexes().find(|index| without(*index)).or_else(|| indexes().find(|index| comes_up(*index)));
    let origin = index.and_then(|index| given.get(index)).map_or("-o", |one| one.origin.as_str());
    Err(Failure::usage(Mistake { origin, what: &last }))
}

struct Mistake<'a> {
    origin: &'a str,
    what: &'a str,
}

impl fmt::Display for Mistake<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.what)
    }
}

/// `0` is a number to one key and a text to another.
fn as_its_key_takes_it<T: DeserializeOwned>(file: &Table, given: &Given) -> Given {
    let is_right_type = |one: &Given| {
        let tried = all::<T>(file, std::slice::from_ref(one));
        !tried.is_err_and(|mistake| mistake.starts_with("invalid type"))
    };
    let mut readings = [given.clone()].into_iter().chain(given.readings());
    readings.find(is_right_type).unwrap_or_else(|| given.clone())
}

fn all<T: DeserializeOwned>(file: &Table, given: &[Given]) -> Result<T, String> {
    let mut table = file.clone();
    given.iter().try_for_each(|one| one.put_into(&mut table))?;
    table.try_into().map_err(|error: toml::de::Error| error.message().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn given(texts: &[&str]) -> Vec<Given> {
        texts.iter().map(|text| text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))).collect()
    }

    /// What the configuration is with these, and what it is when a file says the same.
    fn is_like(file: &str, texts: &[&str], expected: &str) {
        let config = put_together::<Config>(&toml::from_str(file).unwrap(), &given(texts));
        let config = config.unwrap_or_else(|failure| panic!("{texts:?}: {failure}"));
        assert_eq!(config, Config::parse(expected).unwrap(), "{texts:?}");
    }

    fn mistake(file: &str, texts: &[&str]) -> String {
        put_together::<Config>(&toml::from_str(file).unwrap(), &given(texts)).unwrap_err().to_string()
    }

    const TWO: &str = "[[tunnel]]\nname = 'a'\n[[tunnel]]\nlisten = ['127.0.0.1:1']\n";
    const EXIT: &str =
        "[[outproxy]]\nname = 'exit'\nat = 'exit.i2p'\nprotocol = 'socks5'\n[[route]]\nvia = ['exit']\n";

    #[test]
    fn any_key_of_any_type() {
        for (text, expected) in [
            ("limits.dial=30s", "[limits]\ndial = '30s'"),
            ("limits.dial=\"30s\"", "[limits]\ndial = '30s'"),
            (" limits . dial = 30s ", "[limits]\ndial = '30s'"),
            ("limits.idle=0", "[limits]\nidle = '0'"),
            ("limits.connections=7", "[limits]\nconnections = 7"),
            ("names.book=false", "[names]\nbook = false"),
            ("router.sam=[::1]:7656", "[router]\nsam = '[::1]:7656'"),
            ("router.user=5", "[router]\nuser = '5'"),
            ("router.user=a=b \"c", "[router]\nuser = 'a=b \"c'"),
            ("tunnel.default.isolate=client", "[[tunnel]]\nisolate = ['client']"),
            ("tunnel.default.isolate=['client']", "[[tunnel]]\nisolate = ['client']"),
            ("tunnel=[{ name = 'x' }]", "[[tunnel]]\nname = 'x'"),
            (
                "names.static.a.i2p=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b32.i2p",
                "[names.static]\n'a.i2p' = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b32.i2p'",
            ),
            (
                "names.static.\"a.i2p\"=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b32.i2p",
                "[names.static]\n'a.i2p' = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b32.i2p'",
            ),
            ("virtual-addresses.map.10.0.0.1=a.i2p", "[virtual-addresses.map]\n'10.0.0.1' = 'a.i2p'"),
            ("route=[{ via = 'reject', port = 25 }]", "[[route]]\nvia = 'reject'\nport = 25"),
        ] {
            is_like("", &[text], expected);
        }
    }

    #[test]
    fn in_the_place_of_what_the_file_says_the_later_before_the_earlier() {
        is_like(
            "[limits]\ndial = '1s'\nidle = '9s'",
            &["limits.dial=2s", "limits.dial=3s"],
            "[limits]\ndial = '3s'\nidle = '9s'",
        );
        let file = "[[tunnel]]\nname = 'a'\nudp = 'raw'\n[[tunnel]]\nlisten = ['127.0.0.1:1']\n";
        is_like(TWO, &["tunnel.a.udp=raw"], file);
        let file = TWO.to_owned() + "udp = 'raw'\n";
        is_like(TWO, &["tunnel.default.udp=raw"], &file);
        let login = EXIT.replace("'socks5'", "'socks5'\nusername = 'me'\npassword-file = '/x'");
        is_like(EXIT, &["outproxy.exit.username=me", "outproxy.exit.password-file=/x"], &login);
        is_like(EXIT, &["route.1.port=80"], &format!("{EXIT}port = '80'\n"));
    }

    #[test]
    fn mistakes_say_which_option_and_what_is_expected() {
        for (file, texts, says) in [
            ("", &["limits.dial=x"][..], "-o limits.dial: expected a time of more than nothing"),
            ("", &["limits.dial=0"], "-o limits.dial: expected a time of more than nothing"),
            ("", &["limits.dail=3s"], "-o limits.dail: unknown field `dail`, expected one of"),
            ("", &["limit.dial=3s"], "-o limit.dial: unknown field `limit`, expected one of `router`"),
            ("", &["session.length=8"], "-o session.length: 8 is not between 0 and 7"),
            ("", &["session.length=three"], "-o session.length: invalid type: string \"three\""),
            ("", &["names.book=1"], "-o names.book: invalid type"),
            ("", &["names=1"], "-o names: invalid type"),
            (
                "",
                &["session.length=1", "session.quantity=0", "names.book=true"],
                "-o session.quantity: 0 is not between",
            ),
            ("", &["session.quantity=0", "session.length=9"], "-o session.length: 9 is not between"),
            ("", &["names.book.x=1"], "-o names.book.x: invalid type"),
            ("[limits]\ndial = '1s'", &["limits.dial.x=1"], "-o limits.dial.x: dial is no table"),
            ("", &["tunnel.udp=raw"], "-o tunnel.udp: say which one, by its name: -o tunnel.NAME.KEY=VALUE"),
            ("", &["tunnel.a.udp=raw"], "-o tunnel.a.udp: there is no [[tunnel]] a; there is default"),
            (TWO, &["tunnel.b.udp=raw"], "there is no [[tunnel]] b; there is a, default"),
            ("", &["route.1.via=reject"], "-o route.1.via: there is no [[route]] to change"),
            (EXIT, &["route.2.via=reject"], "there is no [[route]] 2; there is 1"),
            (
                EXIT,
                &["outproxy.exit.username=me"],
                "-o outproxy.exit.username: outproxy exit: username and password-file",
            ),
            (
                EXIT,
                &["outproxy.exit.username=me", "outproxy.exit.password-file=/x", "outproxy.exit.via=x"],
                "-o outproxy.exit.via: unknown variant",
            ),
        ] {
            let mistake = mistake(file, texts);
            assert!(mistake.contains(says), "{texts:?}\n{mistake}\n{says}");
        }
        for text in ["", "limits.dial", "=3", "a..b=1", "a b=1", "a\nb=1", "'a=1", "a#=1"] {
            let error = text.parse::<Given>().unwrap_err();
            assert!(error.contains("expected KEY=VALUE, such as limits.dial=30s"), "{text}: {error}");
        }
    }
}
