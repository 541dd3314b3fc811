//! Problems of a configuration whose text can be read: values that do not fit together, and files that cannot be used.

/// A key in a table of the configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(super) table: &'static str,
    /// Which one, counted from 0, if there is a list of such tables.
    pub(super) index: Option<usize>,
    pub(super) key: &'static str,
}

impl Place {
    pub(crate) const fn of(table: &'static str, key: &'static str) -> Self {
        Self { table, index: None, key }
    }

    /// Whether both are the same key of a table of one kind.
    pub(crate) fn is_same_key(&self, other: Self) -> bool {
        (self.table, self.key) == (other.table, other.key)
    }

    pub(crate) const fn nth(table: &'static str, index: usize, key: &'static str) -> Self {
        Self { table, index: Some(index), key }
    }
}

/// What is wrong, as a sentence, and the keys that it follows from. It is shown at the first of them.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) text: String,
    pub(super) places: Vec<Place>,
    /// Whether it follows from entries of these keys: other entries of the same lists do not change it.
    pub(super) is_of_entries: bool,
}

impl Problem {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers have made the sentence or the error for this call"
    )]
    pub(crate) fn new(text: impl ToString, places: impl IntoIterator<Item = Place>) -> Self {
        Self { text: text.to_string(), places: places.into_iter().collect(), is_of_entries: false }
    }

    /// The same, if it follows from entries of lists.
    pub(super) fn of_entries(self) -> Self {
        Self { is_of_entries: true, ..self }
    }
}
