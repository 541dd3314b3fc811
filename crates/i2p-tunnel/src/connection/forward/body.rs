//! The bodies of requests and answers. They pass through in pieces, and are never held as a whole.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};

use super::{super::site::SiteStream, shared::InFlight};
use crate::{
    account::{Account, ActiveGuard},
    names::AddressLease,
};

/// The body of an answer to a client.
pub(super) struct ClientBody {
    content: Content,
    _in_flight: Option<InFlight>,
}

enum Content {
    /// The proxy's own text.
    Text(Option<Bytes>),
    /// What the site sends.
    Site(Box<SiteBody>),
}

impl ClientBody {
    pub(super) fn empty() -> Self {
        Self { content: Content::Text(None), _in_flight: None }
    }

    pub(super) fn text(text: String) -> Self {
        Self { content: Content::Text(Some(text.into())), _in_flight: None }
    }

    pub(super) fn of_site(body: SiteBody) -> Self {
        Self { content: Content::Site(Box::new(body)), _in_flight: None }
    }

    /// Keeps the request in flight until the answer is complete.
    pub(super) fn until_answered(self, in_flight: InFlight) -> Self {
        Self { _in_flight: Some(in_flight), ..self }
    }
}

/// The body of a site's answer, with what is held until its end.
pub(super) struct SiteBody {
    incoming: Incoming,
    upstream: Option<SiteStream>,
    account: Arc<Account>,
    _lease: Option<AddressLease>,
    _stream: ActiveGuard,
}

impl SiteBody {
    pub(super) fn new(
        incoming: Incoming,
        upstream: SiteStream,
        lease: Option<AddressLease>,
        account: Arc<Account>,
    ) -> Self {
        let stream = account.stream();
        let mut body = Self { incoming, upstream: Some(upstream), account, _lease: lease, _stream: stream };
        // hyper does not ask for a body that is empty.
        if body.incoming.is_end_stream() {
            body.finish();
        }
        body
    }

    /// Keeps the stream for the next request.
    fn finish(&mut self) {
        if let Some(upstream) = self.upstream.take() {
            upstream.finish();
        }
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.get_mut().content {
            Content::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Content::Site(site) => {
                let frame = ready!(Pin::new(&mut site.incoming).poll_frame(context));
                match &frame {
                    Some(Ok(frame)) => count(frame, |bytes| site.account.to_client().inc_by(bytes)),
                    Some(Err(_)) => site.upstream = None,
                    None => {}
                }
                // hyper does not ask any further for a body that has ended.
                if frame.is_none() || site.incoming.is_end_stream() {
                    site.finish();
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Text(text) => text.is_none(),
            Content::Site(site) => site.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Text(text) => {
                let length = text.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or_default())
            }
            Content::Site(site) => site.incoming.size_hint(),
        }
    }
}

fn count(frame: &Frame<Bytes>, add: impl FnOnce(u64) -> u64) {
    if let Some(data) = frame.data_ref() {
        add(u64::try_from(data.len()).unwrap_or_default());
    }
}
