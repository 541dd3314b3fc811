use super::{Verdict, rules};

/// Decides on a field of an answer, on its way to the client. Those by which a site has the browser do something that the person does not
/// see, on other sites or another network, are dropped.
#[must_use]
pub fn answer_field(name: &str) -> Verdict<'static> {
    match rules::of_answer(name) {
        Some(_) => Verdict::Drop,
        None => Verdict::Pass,
    }
}
