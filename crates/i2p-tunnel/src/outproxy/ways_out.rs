use std::sync::Arc;

use super::set::Outproxies;
use crate::{client::IsolationKey, route::Routes};

/// The routes and outproxies by which a client's datagrams may leave I2P.
#[derive(Debug, Clone)]
pub struct WaysOut {
    pub(crate) routes: Arc<Routes>,
    pub(crate) outproxies: Outproxies,
    pub(crate) key: IsolationKey,
}

impl WaysOut {
    pub(crate) fn new(routes: Arc<Routes>, outproxies: Outproxies, key: IsolationKey) -> Self {
        Self { routes, outproxies, key }
    }
}
