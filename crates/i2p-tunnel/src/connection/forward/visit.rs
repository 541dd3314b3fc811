//! A request for a page of the proxy.

use hyper::{Response, StatusCode};

use super::{
    super::service::Service,
    answer::{self, Reader},
    body::ClientBody,
    page::Page,
};
use crate::{
    client::{Authentication, Client, IsolationKey},
    names::NameBook,
};

/// Who asks for a page of the proxy.
pub(super) struct Visit<'a, D> {
    pub(super) service: &'a Service<D>,
    pub(super) client: &'a Client,
    pub(super) reader: Reader,
}

impl<'a, D> Visit<'a, D> {
    /// The address book, if the client may read it and keep names in it.
    pub(super) fn book(&self) -> Option<&'a dyn NameBook> {
        let book = self.service.name_book.as_deref()?;
        self.service.book_access.allows(self.client.address).then_some(book)
    }

    /// Whether an identity is the client's alone. Where clients share one, none of them may change it, or decide for the others where a
    /// name leads. Credentials that nobody checks can be guessed.
    pub(super) fn owns(&self, key: &IsolationKey) -> bool {
        let checks_passwords = matches!(self.service.access.authentication, Authentication::Required(_));
        key.keeps_clients_apart() || (checks_passwords && key.keeps_credentials_apart())
    }

    /// A short page.
    pub(super) fn page(
        &self,
        status: StatusCode,
        title: &str,
        what: &str,
        hint: &str,
    ) -> Response<ClientBody> {
        let code = format!("HTTP {}.", status.as_u16());
        let page = Page { title, what, hint, code: &code, ..Page::default() };
        answer::of_page(status, &page, self.reader)
    }

    pub(super) fn wrong_method(&self) -> Response<ClientBody> {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        self.page(status, "Not possible here", "the proxy can only be asked", "Use GET.")
    }

    pub(super) fn no_such_page(&self) -> Response<ClientBody> {
        let what = "the proxy has no such page";
        self.page(StatusCode::NOT_FOUND, "There is no such page", what, "Open http://proxy.i2p/")
    }

    /// The answer to a form without the right token, such as one that another site has sent.
    pub(super) fn forgotten(&self) -> Response<ClientBody> {
        self.page(
            StatusCode::FORBIDDEN,
            "Nothing was done",
            "the form is too old, or it does not come from a page of the proxy that you were shown",
            "Go back, load the page again, and choose again.",
        )
    }

    /// The answer to a client that wants to change what it shares with others.
    pub(super) fn shared(&self) -> Response<ClientBody> {
        self.page(
            StatusCode::FORBIDDEN,
            "Nothing was done",
            "other clients of the proxy have the same identity as you",
            "The operator of the proxy can give all of you a new one, with i2p-socks new-identity.",
        )
    }

    pub(super) fn not_allowed(&self) -> Response<ClientBody> {
        self.page(
            StatusCode::FORBIDDEN,
            "Nothing was done",
            "the address book cannot be changed from here",
            "Add the name with i2p-socks names add, as the user that runs the proxy.",
        )
    }

    pub(super) fn malformed(&self) -> Response<ClientBody> {
        let what = "the proxy does not understand the request";
        self.page(StatusCode::BAD_REQUEST, "Nothing was done", what, "Go back, and load the page again.")
    }
}
