//! The fields of a log line in text: a message, and commas between what follows it.

use std::{error::Error, fmt};

use tracing::field::Field;
use tracing_subscriber::{
    field::{RecordFields, Visit, VisitFmt, VisitOutput},
    fmt::{
        FormatFields,
        format::{DefaultVisitor, Writer},
    },
};

/// Writes fields as tracing-subscriber does, with commas.
pub(super) struct WithCommas;

impl<'w> FormatFields<'w> for WithCommas {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = Visitor { fields: DefaultVisitor::new(writer, true), is_first: true };
        fields.record(&mut visitor);
        visitor.fields.finish()
    }
}

struct Visitor<'a> {
    fields: DefaultVisitor<'a>,
    is_first: bool,
}

impl Visitor<'_> {
    fn begin(&mut self) {
        if !std::mem::take(&mut self.is_first) {
            // An error shows with the field, too.
            let _ = self.fields.writer().write_char(',');
        }
    }
}

impl Visit for Visitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.begin();
        self.fields.record_str(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.begin();
        self.fields.record_error(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.begin();
        self.fields.record_debug(field, value);
    }
}
