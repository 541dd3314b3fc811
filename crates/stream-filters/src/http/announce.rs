use super::rules::PARAMETERS;

/// Takes addresses out of the target of a request with which a BitTorrent client announces itself to a tracker.
///
/// The parts that it gives make up the new target. It gives `None` for all other requests: those have no parameter `info_hash`.
///
/// In I2P, clients announce their destination in the same parameters. A value that ends in `.i2p` stays.
#[must_use]
pub fn announce(target: &str) -> Option<Announce<'_>> {
    let (before, query) = target.split_at(target.find('?')? + 1);
    let is_announce = parameters(query).any(|parameter| is_named(parameter, "info_hash"));
    is_announce.then_some(Announce {
        before: Some(before),
        query: Some(query),
        parameter: None,
        has_one: false,
    })
}

/// The parts of a target, see [`announce`].
#[derive(Debug, Clone)]
pub struct Announce<'a> {
    before: Option<&'a str>,
    /// What is still to be looked at.
    query: Option<&'a str>,
    /// A parameter that follows its separator.
    parameter: Option<&'a str>,
    has_one: bool,
}

impl<'a> Iterator for Announce<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if let Some(part) = self.before.take().or_else(|| self.parameter.take()) {
            return Some(part);
        }
        loop {
            let query = self.query.take()?;
            let (parameter, rest) = match query.split_once(['&', ';']) {
                Some((parameter, rest)) => (parameter, Some(rest)),
                None => (query, None),
            };
            self.query = rest;
            if names_an_address(parameter) {
                continue;
            }
            if !core::mem::replace(&mut self.has_one, true) {
                return Some(parameter);
            }
            self.parameter = Some(parameter);
            return Some("&");
        }
    }
}

fn parameters(query: &str) -> impl Iterator<Item = &str> {
    query.split(['&', ';'])
}

fn names_an_address(parameter: &str) -> bool {
    let (_, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    let mut names = PARAMETERS.iter().flat_map(|entry| entry.rule.names);
    names.any(|name| is_named(parameter, name)) && !value.ends_with(".i2p")
}

/// Whether a parameter has this name. Each character of it can be written as a percent sign and two digits.
fn is_named(parameter: &str, name: &str) -> bool {
    let (given, _) = parameter.split_once('=').unwrap_or((parameter, ""));
    let mut rest = given.as_bytes();
    let mut decoded = core::iter::from_fn(move || {
        let (first, tail) = rest.split_first()?;
        let digit = |at: usize| tail.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        if let (b'%', Some(high), Some(low)) = (*first, digit(0), digit(1)) {
            rest = tail.get(2..).unwrap_or_default();
            return u8::try_from(high * 16 + low).ok();
        }
        rest = tail;
        Some(*first)
    });
    name.bytes().all(|byte| decoded.next().is_some_and(|given| given.eq_ignore_ascii_case(&byte)))
        && decoded.next().is_none()
}
