//! The rules of the filters, as data: the machines decide by them, and tests and pages read them.

/// Who sends something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The program of the user. What it sends leaves this machine.
    Client,
    /// The other end.
    Server,
}

/// The part of a protocol to which a rule applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Place {
    /// A line that begins with this word.
    Command,
    /// A tag before a message.
    Tag,
    /// A parameter of a command.
    Parameter,
    /// A header field of a message.
    Field,
    /// A capability that the server offers.
    Capability,
    /// An element of XML, by its name.
    Element,
    /// An element of XML, by its namespace.
    Namespace,
}

/// One rule of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The words to which it applies. They are compared without regard to case.
    pub names: &'static [&'static str],
    /// Why it is so.
    pub reason: &'static str,
    /// A line with the first of the names.
    pub example: &'static str,
    /// What the other side gets in place of the example; nothing if it is empty.
    pub becomes: &'static str,
}

/// A rule as [`Protocol::rules`](crate::Protocol::rules) lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedRule {
    /// Whose words it applies to.
    pub from: Side,
    /// Where these words stand.
    pub place: Place,
    /// The rule itself.
    pub rule: &'static Rule,
}

/// A rule with what the machine does.
pub(crate) struct Entry<A> {
    pub(crate) action: A,
    pub(crate) rule: Rule,
}

impl<A> Entry<A> {
    /// A rule by which the other side gets something else.
    pub(crate) const fn new(
        action: A,
        names: &'static [&'static str],
        reason: &'static str,
        [example, becomes]: [&'static str; 2],
    ) -> Self {
        Self { action, rule: Rule { names, reason, example, becomes } }
    }

    /// A rule by which a line like the example passes as it is.
    pub(crate) const fn same(
        action: A,
        names: &'static [&'static str],
        reason: &'static str,
        example: &'static str,
    ) -> Self {
        Self::new(action, names, reason, [example, example])
    }
}

/// What the table says about a word.
pub(crate) fn find<A: Copy>(table: &[Entry<A>], word: &[u8]) -> Option<A> {
    let is_named = |rule: &Rule| rule.names.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(word));
    table.iter().find(|entry| is_named(&entry.rule)).map(|entry| entry.action)
}

/// The rules of a table, as they are listed.
pub(crate) fn listed<A>(
    table: &'static [Entry<A>],
    from: Side,
    place: Place,
) -> impl Iterator<Item = ListedRule> {
    table.iter().map(move |entry| ListedRule { from, place, rule: &entry.rule })
}
