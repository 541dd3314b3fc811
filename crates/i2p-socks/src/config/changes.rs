//! Which settings differ between two configurations: their keys, and never their values.

use toml::{Table, Value};

use super::{
    Config,
    overrides::{DEFAULT_TUNNEL, TABLES_OF_HOSTS},
};

impl Config {
    /// The keys that are set to other values in `other`, as in `limits.dial` or `tunnel.NAME.udp`. A key that is set in one of them
    /// and left out in the other counts, also if the value is the default.
    pub(crate) fn changed_settings(&self, other: &Self) -> Vec<String> {
        let (before, after) = (&self.settings, &other.settings);
        keys(before, after)
            .into_iter()
            .flat_map(|table| of_table(table, before.get(table), after.get(table)))
            .collect()
    }
}

/// The keys of both, once each, in the order of the alphabet.
fn keys<'a>(before: &'a Table, after: &'a Table) -> Vec<&'a String> {
    let mut keys: Vec<_> = before.keys().chain(after.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The keys that differ in a table with this name, or in a list of such tables.
fn of_table(name: &str, before: Option<&Value>, after: Option<&Value>) -> Vec<String> {
    if before == after {
        return Vec::new();
    }
    let has_names = matches!(name, "tunnel" | "outproxy");
    let empty = Value::Table(Table::new());
    match (before.unwrap_or(&empty), after.unwrap_or(&empty)) {
        // Names of hosts are no settings.
        _ if TABLES_OF_HOSTS.iter().any(|hosts| hosts.join(".") == name) => vec![name.to_owned()],
        (Value::Table(before), Value::Table(after)) => {
            let inner = |key: &String| of_table(&format!("{name}.{key}"), before.get(key), after.get(key));
            keys(before, after).into_iter().flat_map(inner).collect()
        }
        (before, after) if has_names => {
            let (before, after) = (by_name(before), by_name(after));
            let inner = |key: &String| of_table(&format!("{name}.{key}"), before.get(key), after.get(key));
            keys(&before, &after).into_iter().flat_map(inner).collect()
        }
        // Routes have no names, and a new one moves the others.
        _ => vec![name.to_owned()],
    }
}

/// The tables of a list by their names.
fn by_name(list: &Value) -> Table {
    let tables = list.as_array().into_iter().flatten();
    let name = |table: &Value| table.get("name").and_then(Value::as_str).unwrap_or(DEFAULT_TUNNEL).to_owned();
    tables.map(|table| (name(table), table.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_that_differ_are_named_without_their_values() {
        let config = |text: &str| Config { settings: toml::from_str(text).unwrap(), ..Config::default() };
        let before = "[limits]\ndial = '30s'\nidle = '1m'\n[names.static]\n'secret.i2p' = 'a'\n\
                      [[tunnel]]\nname = 'a'\nudp = 'raw'\n[[tunnel]]\nlisten = '127.0.0.1:1'\n[[route]]\nvia = 'x'\n";
        for (change, expected) in [
            (["", ""], &[][..]),
            (["30s", "29s"], &["limits.dial"]),
            (["dial = '30s'\n", ""], &["limits.dial"]),
            (["[limits]", "[session]\nlength = 2\n[limits]"], &["session.length"]),
            (["'secret.i2p'", "'other.i2p'"], &["names.static"]),
            (["'raw'", "'off'"], &["tunnel.a.udp"]),
            (
                ["name = 'a'", "name = 'b'"],
                &["tunnel.a.name", "tunnel.a.udp", "tunnel.b.name", "tunnel.b.udp"],
            ),
            (["127.0.0.1:1", "127.0.0.1:2"], &["tunnel.default.listen"]),
            (["via = 'x'", "via = 'y'"], &["route"]),
        ] {
            let after = before.replace(change[0], change[1]);
            let after = if change[0].is_empty() { before } else { &after };
            assert_eq!(config(before).changed_settings(&config(after)), expected, "{change:?}");
        }
        assert_eq!(config("").changed_settings(&config("[[tunnel]]\nname = 'a'\n")), ["tunnel.a.name"]);
    }
}
