use std::{pin::pin, sync::Arc, time::Duration};

use hyper::{
    Request, Response, StatusCode, Version,
    body::Incoming,
    header::{self, HeaderMap, HeaderValue},
};
use i2p_name::{HostName, I2pName, Target};
use socks_wire::stream::OwnedAddress;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        http,
        service::{JumpService, Service},
        site::{RequestBody, SiteKey, SiteStream},
    },
    answer::{Reader, Trouble},
    asking_page,
    body::{ClientBody, SiteBody},
    fields, helper,
    interim::pass_on_interim_answers,
    own_site,
    page::{Block, Link},
    shared::{InFlight, Shared},
    visit::Visit,
};
use crate::{
    account::{HandshakeFailure, RefusedCredentials},
    client::{Client, ClientAddress, ClientCredentials, ClientProtocol, IsolationKey},
    dial::Dial,
    failure::Failure,
    filtering::CutByGuard,
    http_message::{Refusal, RequestHead, upgrade_token},
    limits::Limit,
    names::{self, AddressLease},
    sensitive::Sensitive,
    stream::Stop,
};

/// How long a body is held back for a site that was asked whether it wants it. Sites that do not know the question never answer
/// it (RFC 9110 section 10.1.1).
const MAX_EXPECT_WAIT: Duration = Duration::from_secs(5);

/// How long a person waits for a session without being told: until the router is asked, and while it may answer.
const MAX_SILENCE_TO_PEOPLE: Duration = Duration::from_secs(5 + 3);
const ROUTER_ANSWER_TIME: Duration = Duration::from_secs(3);

/// Similar names that the page about an unknown one shows.
const MAX_SIMILAR_NAMES: usize = 5;

/// Answers the requests of one connection.
pub(super) struct Forwarder<D> {
    pub(super) service: Arc<Service<D>>,
    pub(super) address: ClientAddress,
    pub(super) listener: Arc<str>,
    pub(super) shared: Arc<Shared>,
    pub(super) stop: Stop,
}

/// Where a request goes.
struct Destination {
    target: Target,
    /// What is dialled: the target, or the destination that the client has chosen for it.
    dialled: Target,
    port: u16,
    key: IsolationKey,
    /// Keeps the virtual address that the client asked for from expiring.
    lease: Option<AddressLease>,
}

impl Destination {
    /// Where unused streams are kept, for a site in I2P.
    fn site_key(&self) -> Option<SiteKey> {
        let is_in_i2p = matches!(self.target, Target::I2p(_));
        is_in_i2p.then(|| SiteKey {
            identity: self.key.clone(),
            target: self.dialled.clone(),
            port: self.port,
        })
    }
}

impl<D: Dial> Forwarder<D> {
    /// Answers a request: with what the site answers, or with a text that says why it does not.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<ClientBody> {
        let in_flight = InFlight::new(&self.shared);
        // Every request that hyper reads has begun with a checked head.
        let begun = self.shared.take_begun().unwrap_or(Err(Refusal::RequestLine));
        let (reader, method) = (Reader::of(request.headers()), request.method().clone());
        let (answer, host) = match begun {
            Err(refusal) => (Err(Trouble::Refused(refusal)), Vec::new()),
            Ok(head) => {
                let host = head.host.clone();
                let answer = tokio::select! {
                    answer = self.forward(*head, request, reader) => answer,
                    () = self.stop.until_refusing() => Err(Trouble::Failed(Failure::Stopping)),
                };
                (answer, host)
            }
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(trouble) => {
                self.count(&trouble);
                let shows_ways = trouble.is_unknown_name() && reader == Reader::Person;
                let more = if shows_ways { self.other_ways_to(&host).await } else { Vec::new() };
                trouble.answer(reader, &method, &more)
            }
        };
        self.shared.answered();
        answer.map(|body| body.until_answered(in_flight))
    }

    /// What a person can do about a name that is unknown. No jump service is asked before the person follows its link.
    async fn other_ways_to(&self, host: &[u8]) -> Vec<Block> {
        let Ok(Target::I2p(I2pName::Host(name))) = Target::parse(host) else { return Vec::new() };
        let mut ways = Vec::new();
        let book = self.service.name_book.as_ref().filter(|_| self.service.book_access.allows(self.address));
        if let Some(book) = book {
            let similar = book.similar(&name, MAX_SIMILAR_NAMES).await;
            let link = |name: &HostName| Link {
                text: name.as_str().to_owned(),
                url: format!("http://{}/", name.as_str()),
                ..Link::default()
            };
            add_links(&mut ways, "The proxy knows similar names:", similar.iter().map(link).collect());
        }
        let link = |service: &JumpService| Link {
            text: service.host.clone(),
            url: format!("{}{}", service.url, name.as_str()),
            ..Link::default()
        };
        let links = self.service.jump_services.iter().map(link).collect();
        add_links(
            &mut ways,
            "A jump service may know the address. It learns the name that you ask for:",
            links,
        );
        ways
    }

    fn count(&self, trouble: &Trouble) {
        let account = &self.service.account;
        match trouble {
            Trouble::Failed(failure) => account.failed(ClientProtocol::Http, *failure),
            Trouble::Refused(refusal) => {
                tracing::debug!("a request was refused: {}", refusal.row().1);
                account.handshake_failed(HandshakeFailure::Refused);
            }
            Trouble::Unauthorized(http::Refusal::Wrong) => {
                account.handshake_failed(HandshakeFailure::Unauthorized(RefusedCredentials::HttpWrong));
            }
            Trouble::Unauthorized(http::Refusal::Unchecked) => {
                account.handshake_failed(HandshakeFailure::Unauthorized(RefusedCredentials::Unchecked));
            }
            // Browsers start without credentials. The answer makes them ask the user.
            Trouble::Unauthorized(http::Refusal::Missing) => {
                tracing::debug!("a request without credentials was answered with 407");
                account.handshake_failed(HandshakeFailure::AnsweredHttp);
            }
        }
    }

    async fn forward(
        &self,
        mut head: RequestHead,
        mut request: Request<Incoming>,
        reader: Reader,
    ) -> Result<Response<ClientBody>, Trouble> {
        let credentials = self.authenticate(request.headers()).await?;
        if fields::max_forwards(&head.method, request.headers_mut()) == Some(0) {
            return Ok(Response::new(ClientBody::empty()));
        }
        let client = Client {
            address: self.address,
            listener: Arc::clone(&self.listener),
            protocol: ClientProtocol::Http,
            credentials,
        };
        if own_site::is_asked(&head) {
            let visit = Visit { service: &self.service, client: &client, reader };
            return Ok(own_site::answer(&visit, &head, request).await);
        }
        let destination = self.destination(&head, request.headers(), &client)?;
        let goes_to = (&destination.target, &destination.key);
        if let helper::Next::Answer(answer) = helper::check(&self.service, &mut head, goes_to, reader).await {
            return Ok(answer);
        }
        let of_client = request.version();
        let fields = fields::for_site(&head, request.headers(), &destination.target, self.service.headers);
        let mut sent = Request::new(RequestBody::new(request.into_body(), Arc::clone(&self.service.account)));
        *sent.method_mut() = head.method.clone();
        *sent.uri_mut() = fields::target_for_site(&head.path, self.service.headers);
        *sent.headers_mut() = fields;
        let wanted = pass_on_interim_answers(&mut sent, of_client, self.service.headers, &self.shared);
        let (answer, upstream) = self.send(&destination, ask_for_body(sent, wanted), reader).await?;
        self.pass_on(&head, answer, upstream, destination.lease).await
    }

    /// Sends a request: on an unused stream of the same identity to the same site, or on a new one. A stream that has been unused may turn
    /// out to be closed. The request is then sent on a new one, if it was not sent at all, or may be sent twice.
    async fn send(
        &self,
        destination: &Destination,
        request: Request<RequestBody>,
        reader: Reader,
    ) -> Result<(Response<Incoming>, SiteStream), Trouble> {
        let again = repeated(&request);
        let mut upstream = match self.unused_stream(destination) {
            Some(upstream) => upstream,
            // What a form sends would be lost with the page that loads itself again.
            None if reader == Reader::Person && request.method().is_safe() => {
                self.open_or_say_that_tunnels_are_built(destination).await?
            }
            None => self.open(destination).await?,
        };
        let mut failed = match self.within_limit(upstream.send(request)).await? {
            Ok(answer) => return Ok((answer, upstream)),
            Err(failed) => failed,
        };
        let retried = failed.take_message().or(again).filter(|_| upstream.is_reused());
        let Some(request) = retried else { return Err(self.trouble_of(failed.error())) };
        tracing::debug!("an unused stream to a site turned out closed; trying a new one");
        let mut upstream = self.open(destination).await?;
        let answer = self.within_limit(upstream.send(request)).await?;
        answer.map(|answer| (answer, upstream)).map_err(|failed| self.trouble_of(failed.error()))
    }

    /// Takes an unused stream. Hosts outside I2P get a new one each time, since an outproxy chosen for one request may not be the
    /// one for the next.
    fn unused_stream(&self, destination: &Destination) -> Option<SiteStream> {
        let key = destination.site_key()?;
        let session = self.service.dialler.session_now(&destination.key);
        self.service.site_streams.take(&key, session)
    }

    async fn authenticate(&self, fields: &HeaderMap) -> Result<ClientCredentials, Trouble> {
        let values = fields.get_all(header::PROXY_AUTHORIZATION).iter().map(HeaderValue::as_bytes);
        let credentials = http::ProxyCredentials::of(values);
        let checked = http::authenticate(self.address, credentials, &self.service.access).await;
        checked.map_err(Trouble::Unauthorized)
    }

    fn destination(
        &self,
        head: &RequestHead,
        fields: &HeaderMap,
        client: &Client,
    ) -> Result<Destination, Trouble> {
        let owner = self.service.address_owner(client);
        let address = OwnedAddress::Domain(head.host.clone());
        let (target, lease) =
            names::target_to_dial(&address, &owner, &self.service.addresses).map_err(Trouble::Failed)?;
        let mut key = self.service.sessions.key(client, &target, head.port);
        if self.service.sessions.isolate.site
            && let Some(page) = asking_page::host_of_page(fields)
            && let Ok((page, _)) = names::target_to_dial(&page, &owner, &self.service.addresses)
        {
            key = key.for_page(&page);
        }
        let shown = Sensitive(names::DisplayTarget(&target));
        tracing::debug!(tunnel = %self.service.name, requested = %shown, "a request");
        let dialled = self.service.chosen(&key, &target);
        Ok(Destination { target, dialled, port: head.port, key, lease })
    }

    /// Opens a stream to the site. If there is no session for it yet, a person learns that soon, and whether the router answers, on a
    /// page that loads itself again. The session goes on being built meanwhile.
    async fn open_or_say_that_tunnels_are_built(
        &self,
        destination: &Destination,
    ) -> Result<SiteStream, Trouble> {
        if !matches!(destination.target, Target::I2p(_)) {
            return self.open(destination).await;
        }
        let dialler = &self.service.dialler;
        let mut opening = pin!(self.open(destination));
        let silence = async {
            sleep(MAX_SILENCE_TO_PEOPLE - ROUTER_ANSWER_TIME).await;
            tokio::join!(dialler.router(), sleep(ROUTER_ANSWER_TIME)).0
        };
        let router = tokio::select! {
            opened = &mut opening => return opened,
            router = silence => router,
        };
        match (dialler.session_now(&destination.key), router) {
            (Some(_), _) => opening.await,
            (None, Some(_)) => Err(Trouble::Failed(Failure::NoTunnels)),
            (None, None) => Err(Trouble::Failed(Failure::RouterUnavailable)),
        }
    }

    /// Opens a stream to the site.
    async fn open(&self, destination: &Destination) -> Result<SiteStream, Trouble> {
        let Service { routing, dialler, limits, account, site_streams, .. } = &*self.service;
        let Destination { dialled, port, key, .. } = destination;
        let site = destination.site_key();
        let begin = Instant::now();
        let opened = timeout(limits.dial, async {
            let mut session = None;
            if site.is_some() {
                dialler.prepare(key).await?;
                session = dialler.session_now(key);
            }
            Ok((routing.open(dialler, key, (dialled, *port), limits.dial).await?, session))
        })
        .await;
        account.dialled(begin.elapsed());
        let opened = opened.unwrap_or_else(|_| {
            account.limit(Limit::Dial);
            Err(Failure::TimedOut)
        });
        let (stream, session) = opened.map_err(Trouble::Failed)?;
        stream.socket.detect_loss(*limits);
        let guard = self.service.filtering.guard(account);
        let mut upstream =
            SiteStream::over(stream, guard).await.map_err(|_| Trouble::Failed(Failure::AnswerBrokeOff))?;
        if let (Some(site), Some(session)) = (site, session) {
            // Only a stream that was certainly opened by this session: a new identity must not get one of the old.
            let is_same = dialler.session_now(key) == Some(session);
            upstream.home = is_same.then(|| site_streams.home(site, session));
        }
        Ok(upstream)
    }

    /// Waits for the beginning of an answer, for as long as a dial may take, or as the client sends.
    async fn within_limit<T>(&self, answer: impl Future<Output = T>) -> Result<T, Trouble> {
        let mut answer = pin!(answer);
        loop {
            let before = self.shared.activity();
            match timeout(self.service.limits.dial, &mut answer).await {
                Ok(answer) => return Ok(answer),
                Err(_) if self.shared.activity() != before => {}
                Err(_) => {
                    self.service.account.limit(Limit::Dial);
                    return Err(Trouble::Failed(Failure::TimedOut));
                }
            }
        }
    }

    /// Why a site did not answer.
    fn trouble_of(&self, error: &hyper::Error) -> Trouble {
        tracing::debug!(%error, "a site did not answer");
        match self.shared.refused_body() {
            Some(refusal) => Trouble::Refused(refusal),
            // The body of the client ended before its end.
            None if error.is_user() => Trouble::Refused(Refusal::Body),
            None if error.is_parse() => Trouble::Failed(Failure::BadAnswer),
            None if CutByGuard::is_cause_of(error) => Trouble::Failed(Failure::LeakGuard),
            None => Trouble::Failed(Failure::AnswerBrokeOff),
        }
    }

    /// Makes the client's answer from the site's.
    async fn pass_on(
        &self,
        head: &RequestHead,
        mut answer: Response<Incoming>,
        upstream: SiteStream,
        lease: Option<AddressLease>,
    ) -> Result<Response<ClientBody>, Trouble> {
        let upgrade = upgrade_token(answer.headers());
        fields::for_client(answer.headers_mut(), self.service.headers);
        *answer.version_mut() = Version::HTTP_11;
        let bad = Trouble::Failed(Failure::BadAnswer);
        if fields::with_one_length(answer.headers_mut()).is_none() {
            return Err(bad);
        }
        match (answer.status(), upgrade) {
            (StatusCode::SWITCHING_PROTOCOLS, Some(protocol)) if head.upgrades => {
                // The answer was right. The stream has broken since.
                let broke_off = Trouble::Failed(Failure::AnswerBrokeOff);
                let stream = upstream.into_stream().await.ok_or(broke_off)?;
                self.shared.set_upgraded(stream, lease);
                self.service.account.succeeded(ClientProtocol::Http);
                let fields = answer.headers_mut();
                fields.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
                fields.insert(header::UPGRADE, protocol);
                Ok(answer.map(|_| ClientBody::empty()))
            }
            (StatusCode::SWITCHING_PROTOCOLS, _) => Err(bad),
            // The client would answer such a site with its credentials for the proxy.
            (StatusCode::PROXY_AUTHENTICATION_REQUIRED, _) => Err(Trouble::Failed(Failure::PasswordAsked)),
            _ => {
                self.service.account.succeeded(ClientProtocol::Http);
                if head.upgrades {
                    // What follows the request may be of the other protocol.
                    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                let account = Arc::clone(&self.service.account);
                Ok(answer
                    .map(|incoming| ClientBody::of_site(SiteBody::new(incoming, upstream, lease, account))))
            }
        }
    }
}

fn add_links(blocks: &mut Vec<Block>, intro: &'static str, links: Vec<Link>) {
    if !links.is_empty() {
        blocks.push(Block::Links(intro, links));
    }
}

/// The same request again, if it may be sent twice: it has no body, asks for nothing to change (RFC 9110 section 9.2.1), and goes on
/// with no other protocol.
fn repeated(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let may_be_repeated = request.method().is_safe() && !request.headers().contains_key(header::UPGRADE);
    let mut again = Request::new(request.body().repeated().filter(|_| may_be_repeated)?);
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.headers_mut() = request.headers().clone();
    *again.extensions_mut() = request.extensions().clone();
    Some(again)
}

/// Holds the body back until the site wants it, if the client waits for that too.
fn ask_for_body(request: Request<RequestBody>, wanted: CancellationToken) -> Request<RequestBody> {
    if !request.headers().contains_key(header::EXPECT) {
        return request;
    }
    request.map(|body| {
        body.once(async move {
            tokio::select! {
                () = wanted.cancelled() => {}
                () = sleep(MAX_EXPECT_WAIT) => {}
            }
        })
    })
}
