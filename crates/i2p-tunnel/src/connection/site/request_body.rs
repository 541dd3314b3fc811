use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};

use crate::account::Account;

/// The body of a request on its way to a site.
pub(crate) struct RequestBody {
    /// `None` without a body.
    incoming: Option<Incoming>,
    account: Arc<Account>,
    /// Ends once the site wants the body.
    wanted: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming, account: Arc<Account>) -> Self {
        let incoming = (!incoming.is_end_stream()).then_some(incoming);
        Self { incoming, account, wanted: None }
    }

    /// The same again, if there is no body.
    pub(crate) fn repeated(&self) -> Option<Self> {
        let account = Arc::clone(&self.account);
        self.incoming.is_none().then_some(Self { incoming: None, account, wanted: None })
    }

    /// Holds the body back until the site wants it. Reading from a client that expects `100 Continue` makes hyper send that.
    pub(crate) fn once(self, wanted: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { wanted: Some(Box::pin(wanted)), ..self }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        if let Some(wanted) = &mut this.wanted {
            ready!(wanted.as_mut().poll(context));
            this.wanted = None;
        }
        let Some(incoming) = &mut this.incoming else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(incoming).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            let data = frame.data_ref().map_or(0, Bytes::len);
            this.account.to_peer().inc_by(u64::try_from(data).unwrap_or_default());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or(SizeHint::with_exact(0), Incoming::size_hint)
    }
}
