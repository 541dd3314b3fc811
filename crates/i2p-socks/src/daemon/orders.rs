//! What the commands `reload`, `new-identity`, `explain` and `keys new` ask of the running proxy, over the control socket.
//!
//! | request | response |
//! |---|---|
//! | `POST /reload` with `null` | a [`ReloadReply`]; 409 if the new configuration is refused |
//! | `POST /new-identity` with a username, or `null` for all clients | a [`NewIdentityReply`] |
//! | `POST /keys` with the name of an identity | its address; 409 if it cannot be created |
//! | `POST /routing` with `null` | the [number](crate::config::Config::routing_number) of its routing |

use std::path::{self, Path, PathBuf};

use hyper::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::running::Changes;
use crate::{
    config::tunnel::TunnelName,
    control::routes::{HttpRequest, HttpResponse, Routes, error_response, json_response, read_json_body},
    listener::Listener,
};

pub(crate) const RELOAD_PATH: &str = "/reload";
pub(crate) const NEW_IDENTITY_PATH: &str = "/new-identity";
pub(crate) const ROUTING_PATH: &str = "/routing";
pub(crate) const KEYS_PATH: &str = "/keys";
/// The largest request: a username of 255 bytes in JSON.
const MAX_REQUEST_BYTES: usize = 4096;
/// How many orders may wait for their turn. Further ones wait in their connections.
const MAX_WAITING_ORDERS: usize = 8;

/// An order to the running proxy, and where its reply goes.
pub(crate) enum Order {
    /// Read the configuration again. The error says why it is refused.
    Reload(oneshot::Sender<Result<ReloadReply, String>>),
    /// Give clients new identities: those that send this username, or all.
    NewIdentity(Option<String>, oneshot::Sender<NewIdentityReply>),
    /// Create an identity of this name, and tell its address. The error says why it cannot be created.
    NewKeys(TunnelName, oneshot::Sender<Result<String, String>>),
    /// Tell the number of the routing in effect.
    Routing(oneshot::Sender<u64>),
}

/// What a reload has changed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReloadReply {
    /// The configuration file that was read, if the proxy was started with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<PathBuf>,
    /// The settings whose values differ from those before, as in `limits.dial`. Files that settings name may differ, too.
    #[serde(default)]
    pub(crate) changed: Vec<String>,
    /// How many listeners stayed.
    pub(crate) kept: usize,
    /// The addresses of new listeners.
    pub(crate) opened: Vec<String>,
    /// The addresses of closed listeners.
    pub(crate) closed: Vec<String>,
}

/// What a change of identities has changed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NewIdentityReply {
    /// How many identities had a session.
    pub(crate) renewed: usize,
}

impl ReloadReply {
    pub(super) fn new(Changes { settings, listeners }: Changes, file: Option<&Path>) -> Self {
        // The command that shows the reply may have another working directory.
        let file = file.map(|file| path::absolute(file).unwrap_or_else(|_| file.to_owned()));
        let addresses =
            |listeners: &[Listener]| listeners.iter().map(|listener| listener.address.to_string()).collect();
        Self {
            file,
            changed: settings,
            kept: listeners.kept,
            opened: addresses(&listeners.opened),
            closed: addresses(&listeners.closed),
        }
    }
}

/// Adds the paths of orders to `routes`. Orders arrive at the receiver.
pub(crate) fn add(routes: Routes) -> (Routes, mpsc::Receiver<Order>) {
    let (orders, receiver) = mpsc::channel(MAX_WAITING_ORDERS);
    let (of_reload, of_routing, of_keys) = (orders.clone(), orders.clone(), orders.clone());
    let routes = routes
        .on(Method::POST, RELOAD_PATH, move |_| reload(of_reload.clone()))
        .on(Method::POST, NEW_IDENTITY_PATH, move |request| new_identity(orders.clone(), request))
        .on(Method::POST, KEYS_PATH, move |request| new_keys(of_keys.clone(), request))
        .on(Method::POST, ROUTING_PATH, move |_| routing(of_routing.clone()));
    (routes, receiver)
}

async fn reload(orders: mpsc::Sender<Order>) -> HttpResponse {
    match carried_out(&orders, Order::Reload).await {
        Some(Ok(reply)) => json_response(StatusCode::OK, &reply),
        Some(Err(why)) => error_response(StatusCode::CONFLICT, &why),
        None => stopping(),
    }
}

async fn new_identity(orders: mpsc::Sender<Order>, request: HttpRequest) -> HttpResponse {
    let user = match read_json_body::<Option<String>>(request.into_body(), MAX_REQUEST_BYTES).await {
        Ok(user) => user,
        Err(answer) => return answer,
    };
    match carried_out(&orders, |reply| Order::NewIdentity(user, reply)).await {
        Some(reply) => json_response(StatusCode::OK, &reply),
        None => stopping(),
    }
}

async fn new_keys(orders: mpsc::Sender<Order>, request: HttpRequest) -> HttpResponse {
    let name = match read_json_body::<String>(request.into_body(), MAX_REQUEST_BYTES).await {
        Ok(name) => name,
        Err(answer) => return answer,
    };
    let name = match name.parse() {
        Ok(name) => name,
        Err(why) => return error_response(StatusCode::BAD_REQUEST, why),
    };
    match carried_out(&orders, |reply| Order::NewKeys(name, reply)).await {
        Some(Ok(address)) => json_response(StatusCode::OK, &address),
        Some(Err(why)) => error_response(StatusCode::CONFLICT, &why),
        None => stopping(),
    }
}

async fn routing(orders: mpsc::Sender<Order>) -> HttpResponse {
    match carried_out(&orders, Order::Routing).await {
        Some(number) => json_response(StatusCode::OK, &number),
        None => stopping(),
    }
}

/// The reply to an order; `None` if the proxy stops before.
async fn carried_out<T>(
    orders: &mpsc::Sender<Order>,
    order: impl FnOnce(oneshot::Sender<T>) -> Order,
) -> Option<T> {
    let (reply, replied) = oneshot::channel();
    orders.send(order(reply)).await.ok()?;
    replied.await.ok()
}

fn stopping() -> HttpResponse {
    error_response(StatusCode::SERVICE_UNAVAILABLE, "the proxy is stopping")
}
