//! Keys set by the command line and the environment, which override those of the file.

use std::str::FromStr;

use toml::{Table, Value};

use serde::de::DeserializeOwned;

use super::{
    faulty::{Faulty, FaultyPart},
    log::LogFormat,
    mistakes::{Mistake, UNKNOWN_KEY, in_our_words, without_quotation},
    problem::Place,
};

/// Lists of tables. Those of the first two have names, and the others have numbers.
pub(super) const TABLE_LISTS: [&str; 4] = ["tunnel", "outproxy", "route", "filter"];
/// The variable for `--listen`.
pub(super) const LISTEN_VARIABLE: &str = "I2P_SOCKS_LISTEN";
/// The name of the tunnel if the file has none.
pub(super) const DEFAULT_TUNNEL: &str = "default";
/// Tables whose keys are host names or addresses. A dot in such a key is part of it.
pub(super) const TABLES_OF_HOSTS: [[&str; 2]; 2] = [["names", "static"], ["virtual-addresses", "map"]];

/// A key with its value: `limits.dial=30s`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Override {
    /// The option that set it, for error messages.
    origin: String,
    path: Vec<String>,
    value: Value,
}

/// A key that an override sets.
#[derive(Debug)]
pub(super) struct SetKey {
    /// The option, for error messages.
    pub(super) origin: String,
    table: String,
    /// Which of a list of tables, counted from 0. `None`: there is no such list, or no such table in it.
    index: Option<usize>,
    /// `None`: the whole table.
    key: Option<String>,
}

impl SetKey {
    pub(super) fn is_at(&self, place: Place) -> bool {
        self.table == place.table
            && (self.index.is_none() || place.index.is_none() || self.index == place.index)
            && self.key.as_ref().is_none_or(|key| key == place.key)
    }

    /// What is missing without it. `is_unknown`: its key does not exist.
    fn set_aside(self, is_unknown: bool) -> Faulty {
        let part = match self.key {
            None if is_unknown => FaultyPart::UnknownTable,
            None => FaultyPart::Table,
            Some(_) if is_unknown => FaultyPart::UnknownKey,
            Some(key) => FaultyPart::Value(key),
        };
        Faulty { table: self.table, index: self.index, part }
    }
}

/// `-o`.
impl FromStr for Override {
    type Err = String;

    /// A dotted TOML key, `=`, and a TOML value or a text without quotes.
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected KEY=VALUE, such as limits.dial=30s or tunnel.default.udp=datagram";
        let (key, value) = split_at_equals(text).ok_or(expected)?;
        let mut path = parse_key(key).ok_or_else(|| format!("{key:?} is not a key; {expected}"))?;
        if let [first, second, names @ ..] = path.as_slice()
            && TABLES_OF_HOSTS.contains(&[first, second])
            && names.len() > 1
        {
            let name = names.join(".");
            path.truncate(2);
            path.push(name);
        }
        Ok(Self { origin: format!("-o {}", key.trim()), path, value: parse_value(value) })
    }
}

/// Splits at the first `=` outside quotes.
fn split_at_equals(text: &str) -> Option<(&str, &str)> {
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

/// The parts of a dotted TOML key, outermost first.
fn parse_key(key: &str) -> Option<Vec<String>> {
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

/// The text as a TOML value; as a string if TOML cannot read it.
fn parse_value(text: &str) -> Value {
    let table: Option<Table> = toml::from_str(&format!("value = {text}")).ok();
    let one = table.filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"));
    one.unwrap_or_else(|| Value::String(text.trim().to_owned()))
}

/// What messages call an option: also by its variable of the environment, if that is set.
pub(super) fn origin(option: &str, variable: Option<&str>) -> String {
    let variable = variable.filter(|variable| std::env::var_os(variable).is_some());
    variable.map_or_else(|| option.to_owned(), |variable| format!("{option} or {variable}"))
}

impl Override {
    /// A key that has an option of its own, such as `--sam`, and perhaps a variable of the environment.
    pub(super) fn from_option(
        option: &str,
        variable: Option<&str>,
        path: &[&str],
        value: impl Into<Value>,
    ) -> Self {
        let path = path.iter().map(|name| (*name).to_owned()).collect();
        Self { origin: origin(option, variable), path, value: value.into() }
    }

    /// Whether it sets a key of this table, or the whole table.
    pub(crate) fn is_of(&self, table: &str) -> bool {
        self.path.first().is_some_and(|first| first == table)
    }

    /// The key that it sets in these tables.
    fn set_key(&self, tables: &Table) -> SetKey {
        let mut path = self.path.iter();
        let table = path.next().cloned().unwrap_or_default();
        let index = match (TABLE_LISTS.contains(&table.as_str()), tables.get(&table)) {
            (true, Some(Value::Array(all))) => {
                path.next().and_then(|which| names_in_list(all, &table).iter().position(|name| name == which))
            }
            (true, _) => {
                // The name of a table that is not there.
                path.next();
                None
            }
            (false, _) => None,
        };
        SetKey { origin: self.origin.clone(), table, index, key: path.next().cloned() }
    }

    /// The format of the log, if it sets that.
    pub(super) fn log_format(&self) -> Option<LogFormat> {
        let path: Vec<_> = self.path.iter().map(String::as_str).collect();
        let value = match path.as_slice() {
            ["log", "format"] => Some(&self.value),
            ["log"] => self.value.get("format"),
            _ => None,
        };
        value.and_then(Value::as_str).and_then(LogFormat::of_word)
    }

    /// What else the value can mean: a number, boolean or date as text, and any of these as a list of one.
    fn other_interpretations(&self) -> Vec<Self> {
        let text = match &self.value {
            Value::Array(_) | Value::Table(_) => return Vec::new(),
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        let list = Value::Array(vec![text.clone().into()]);
        [text.into(), list].map(|value| Self { value, ..self.clone() }).into()
    }

    fn apply_to(&self, table: &mut Table) -> Result<(), String> {
        let Some((last, tables)) = self.path.split_last() else { return Ok(()) };
        let mut tables = tables.iter();
        let mut inner = table;
        let mut outermost = true;
        while let Some(name) = tables.next() {
            if outermost && TABLE_LISTS.contains(&name.as_str()) {
                let which = tables.next().ok_or_else(|| missing_name(name))?;
                inner = table_in_list(inner, name, which)?;
            } else {
                let value = inner.entry(name).or_insert_with(|| Table::new().into());
                inner = value.as_table_mut().ok_or_else(|| format!("{name} is not a table"))?;
            }
            outermost = false;
        }
        inner.insert(last.clone(), self.value.clone());
        Ok(())
    }
}

fn missing_name(list: &str) -> String {
    match list {
        "route" => "name the route by its number: -o route.1.via=reject".to_owned(),
        "filter" => "name the filter by its number: -o filter.1.protocol=none".to_owned(),
        list => format!("add the name of the {list}: -o {list}.NAME.KEY=VALUE"),
    }
}

/// A table in a list of tables: by its name, or a route or filter by its number.
fn table_in_list<'a>(table: &'a mut Table, list: &str, which: &str) -> Result<&'a mut Table, String> {
    if list == "tunnel" && !table.contains_key(list) {
        table.insert(list.to_owned(), vec![Table::new()].into());
    }
    let Some(all) = table.get_mut(list).and_then(Value::as_array_mut) else {
        return Err(format!("there is no [[{list}]] to change"));
    };
    let names = names_in_list(all, list);
    let found = names.iter().position(|name| name == which).and_then(|index| all.get_mut(index));
    let unknown = || format!("there is no [[{list}]] {which}; there are: {}", names.join(", "));
    found.and_then(Value::as_table_mut).ok_or_else(unknown)
}

/// What overrides call the tables of a list: their names, or the numbers of routes and filters.
fn names_in_list(tables: &[Value], list: &str) -> Vec<String> {
    let name = |(index, one): (usize, &Value)| match (list, one.get("name").and_then(Value::as_str)) {
        ("route" | "filter", _) => (index + 1).to_string(),
        (_, Some(name)) => name.to_owned(),
        _ => DEFAULT_TUNNEL.to_owned(),
    };
    tables.iter().enumerate().map(name).collect()
}

/// A configuration with overrides. Those with mistakes are set aside.
#[derive(Debug)]
pub(super) struct Overridden<T> {
    /// `None` if the mistakes leave nothing to go by.
    pub(super) config: Option<T>,
    /// The keys of the file and of the overrides.
    pub(super) keys: Table,
    /// What the overrides set.
    pub(super) set: Vec<SetKey>,
    /// The mistakes, each with the option that made it, and what is missing because of it.
    pub(super) mistakes: Vec<(Mistake, Option<Faulty>)>,
}

/// The configuration of a file with these overrides. If two set the same key, the later one wins.
pub(super) fn apply_overrides<T: DeserializeOwned>(file: &Table, overrides: &[Override]) -> Overridden<T> {
    let mut overrides: Vec<_> = overrides.iter().map(|one| with_fitting_type::<T>(file, one)).collect();
    let mut mistakes = Vec::new();
    let config = loop {
        let error = match parse_with(file, &overrides) {
            Ok(config) => break Some(config),
            Err(error) => error,
        };
        let culprit = culprit::<T>(file, &overrides, &error).map(|index| overrides.remove(index));
        let origin = culprit.as_ref().map_or("-o", |culprit| &culprit.origin);
        // The key of the override may be a host name too.
        let log =
            format!("a key of the command line or the environment is wrong: {}", without_quotation(&error));
        let mistake = Mistake { span: None, text: format!("{origin}: {}", in_our_words(&error)), log };
        let is_unknown = error.starts_with(UNKNOWN_KEY);
        let faulty = culprit.map(|culprit| culprit.set_key(file).set_aside(is_unknown));
        let is_last = faulty.is_none();
        mistakes.push((mistake, faulty));
        if is_last {
            break None;
        }
    };
    let keys = merged(file, &overrides).unwrap_or_default();
    let set = overrides.iter().map(|one| one.set_key(&keys)).collect();
    Overridden { config, keys, set, mistakes }
}

/// The override with this error: the only one whose removal mends the configuration, or else the first that breaks it.
fn culprit<T: DeserializeOwned>(file: &Table, overrides: &[Override], error: &str) -> Option<usize> {
    let is_right_without = |index: usize| {
        let others = overrides.iter().enumerate().filter(|(other, _)| *other != index);
        parse_with::<T>(file, &others.map(|(_, one)| one.clone()).collect::<Vec<_>>()).is_ok()
    };
    let appears_with = |index: usize| {
        let up_to = overrides.get(..=index).unwrap_or_default();
        parse_with::<T>(file, up_to).is_err_and(|other| other == error)
    };
    let indexes = || 0..overrides.len();
    indexes().find(|index| is_right_without(*index)).or_else(|| indexes().find(|index| appears_with(*index)))
}

/// The override with its value in the type that its key takes: `0` is a number for one key and a text for another.
fn with_fitting_type<T: DeserializeOwned>(file: &Table, one: &Override) -> Override {
    let has_fitting_type = |candidate: &Override| {
        let tried = parse_with::<T>(file, std::slice::from_ref(candidate));
        !tried.is_err_and(|error| error.starts_with("invalid type"))
    };
    let mut candidates = [one.clone()].into_iter().chain(one.other_interpretations());
    candidates.find(has_fitting_type).unwrap_or_else(|| one.clone())
}

/// The keys of the file and of these overrides.
fn merged(file: &Table, overrides: &[Override]) -> Result<Table, String> {
    let mut table = file.clone();
    overrides.iter().try_for_each(|one| one.apply_to(&mut table))?;
    Ok(table)
}

/// The file with these overrides in it.
fn parse_with<T: DeserializeOwned>(file: &Table, overrides: &[Override]) -> Result<T, String> {
    merged(file, overrides)?.try_into().map_err(|error: toml::de::Error| error.message().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn overrides(texts: &[&str]) -> Vec<Override> {
        texts.iter().map(|text| text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))).collect()
    }

    /// Checks that the overrides give the same configuration as a file with the same keys.
    fn is_like(file: &str, texts: &[&str], expected: &str) {
        let config = apply_overrides::<Config>(&toml::from_str(file).unwrap(), &overrides(texts));
        assert!(config.mistakes.is_empty(), "{texts:?}: {:?}", config.mistakes);
        assert_eq!(config.config, Some(Config::parse(expected).unwrap()), "{texts:?}");
    }

    fn mistake(file: &str, texts: &[&str]) -> String {
        let Overridden { mistakes, .. } =
            apply_overrides::<Config>(&toml::from_str(file).unwrap(), &overrides(texts));
        let texts: Vec<_> = mistakes.into_iter().map(|(mistake, _)| mistake.text).collect();
        texts.join("\n")
    }

    const TWO: &str = "[[tunnel]]\nname = 'a'\n[[tunnel]]\nlisten = ['127.0.0.1:1']\n";
    const EXIT: &str =
        "[[outproxy]]\nname = 'exit'\nat = 'exit.i2p'\nprotocol = 'socks5'\n[[route]]\nvia = ['exit']\n";

    #[test]
    fn the_log_shows_no_name_of_a_refused_override() {
        for (text, expected) in [
            ("names.static.secret.i2p=secret.i2p", "[scrubbed] is another name"),
            ("names.\"secret.i2p\"=1", "unknown key [scrubbed], expected one of `book`"),
        ] {
            let Overridden { mistakes, .. } = apply_overrides::<Config>(&Table::new(), &overrides(&[text]));
            let [(Mistake { text, log, .. }, Some(_))] = &mistakes[..] else { panic!("{mistakes:?}") };
            assert!(text.contains("secret"), "{text}");
            assert!(!log.contains("secret") && log.contains(expected), "{log}");
        }
    }

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
    fn overrides_replace_keys_of_the_file_and_later_ones_win() {
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
            (
                "",
                &["limits.dial=x"][..],
                "-o limits.dial: \"x\" is not a duration, expected a duration greater than zero",
            ),
            (
                "",
                &["limits.dial=0"],
                "-o limits.dial: \"0\" is not a duration, expected a duration greater than zero",
            ),
            ("", &["limits.dial=30"], "-o limits.dial: 30 is not a duration, expected \"30s\" for seconds"),
            ("", &["limits.dail=3s"], "-o limits.dail: unknown key `dail`, expected one of"),
            ("", &["limit.dial=3s"], "-o limit.dial: unknown key `limit`, expected one of `router`"),
            ("", &["session.length=8"], "-o session.length: 8 is not between 0 and 7"),
            (
                "",
                &["session.length=three"],
                "-o session.length: expected a whole number from 0 to 7, found the text \"three\"",
            ),
            (
                "",
                &["names.book=1"],
                "-o names.book: expected true or false, without quotes, found the number 1",
            ),
            ("", &["names=1"], "-o names: expected a table, found the number 1"),
            (
                "",
                &["session.length=1", "session.quantity=0", "names.book=true"],
                "-o session.quantity: 0 is not between",
            ),
            ("", &["session.quantity=0", "session.length=9"], "-o session.length: 9 is not between"),
            (
                "",
                &["names.book.x=1"],
                "-o names.book.x: expected true or false, without quotes, found a table",
            ),
            ("[limits]\ndial = '1s'", &["limits.dial.x=1"], "-o limits.dial.x: dial is not a table"),
            ("", &["tunnel.udp=raw"], "-o tunnel.udp: add the name of the tunnel: -o tunnel.NAME.KEY=VALUE"),
            ("", &["tunnel.a.udp=raw"], "-o tunnel.a.udp: there is no [[tunnel]] a; there are: default"),
            (TWO, &["tunnel.b.udp=raw"], "there is no [[tunnel]] b; there are: a, default"),
            ("", &["route.1.via=reject"], "-o route.1.via: there is no [[route]] to change"),
            (EXIT, &["route.2.via=reject"], "there is no [[route]] 2; there are: 1"),
            (
                EXIT,
                &["outproxy.exit.username=me", "outproxy.exit.password-file=/x", "outproxy.exit.via=x"],
                "-o outproxy.exit.via: unknown value",
            ),
        ] {
            let mistake = mistake(file, texts);
            assert!(mistake.contains(says), "{texts:?}\n{mistake}\n{says}");
        }
        let all = mistake("", &["limits.dial=x", "session.length=9", "names.book=true", "log.level=loud"]);
        let origins = all.lines().map(|line| line.split(": ").next().unwrap());
        let mut origins: Vec<_> = origins.collect();
        origins.sort_unstable();
        assert_eq!(origins, ["-o limits.dial", "-o log.level", "-o session.length"], "{all}");
        for text in ["", "limits.dial", "=3", "a..b=1", "a b=1", "a\nb=1", "'a=1", "a#=1"] {
            let error = text.parse::<Override>().unwrap_err();
            assert!(error.contains("expected KEY=VALUE, such as limits.dial=30s"), "{text}: {error}");
        }
    }
}
