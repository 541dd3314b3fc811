//! How sessions are opened: whole, as a primary session, and for datagrams on the destination of another.

use std::sync::Arc;

use super::{
    Session, SessionKind, control::ControlConnection, datagram::DatagramSession, primary::PrimarySession,
};
use crate::{
    bridge::{Bridge, router::Router},
    error::Error,
    wire::{DatagramStyle, Ports, SessionOptions, Style},
};

impl Bridge {
    /// Opens a session for streams on the router that answers here, as [`Router::create_session`].
    ///
    /// # Errors
    /// What [`Bridge::probe`] returns, and as [`Router::create_session`].
    pub async fn create_session(&self, options: &SessionOptions) -> Result<Session, Error> {
        self.router().await?.create_session(options).await
    }

    /// Opens a session for datagrams on the router that answers here, as [`Router::create_datagram_session`].
    ///
    /// # Errors
    /// What [`Bridge::probe`] returns, and as [`Router::create_datagram_session`].
    pub async fn create_datagram_session(
        &self,
        style: DatagramStyle,
        ports: Ports,
        options: &SessionOptions,
    ) -> Result<DatagramSession, Error> {
        self.router().await?.create_datagram_session(style, ports, options).await
    }

    /// Opens a primary session on the router that answers here, as [`Router::create_primary`].
    ///
    /// # Errors
    /// What [`Bridge::probe`] returns, and as [`Router::create_primary`].
    pub async fn create_primary(&self, options: &SessionOptions) -> Result<PrimarySession, Error> {
        self.router().await?.create_primary(options).await
    }
}

impl Router {
    /// Opens a session for streams: a destination with tunnels of its own. Returns once the tunnels are built.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::NotSam`], [`Error::Timeout`], and [`Error::Refused`] with the router's reason.
    pub async fn create_session(&self, options: &SessionOptions) -> Result<Session, Error> {
        if options.lends() && self.capabilities().datagrams_beside_streams(DatagramStyle::Datagram) {
            return self.create_primary(options).await?.add_streams(0).await;
        }
        let (control, id, key) = ControlConnection::create(self, Style::Stream, options).await?;
        Ok(Session::on(Arc::new(control), id, key, SessionKind::Whole))
    }

    /// Opens a session for datagrams of one kind. They are exchanged with the router over UDP. The session listens on
    /// `ports.from`; `ports` are also the ports of a datagram that is sent without others.
    ///
    /// # Errors
    /// As [`Router::create_session`], and [`Error::Unsupported`], [`Error::Udp`].
    pub async fn create_datagram_session(
        &self,
        style: DatagramStyle,
        ports: Ports,
        options: &SessionOptions,
    ) -> Result<DatagramSession, Error> {
        DatagramSession::create(self, style, ports, options).await
    }

    /// Opens a session that carries nothing by itself and lends its destination and tunnels to subsessions.
    ///
    /// On Java I2P its lease set is published, whatever the options say.
    ///
    /// # Errors
    /// As [`Router::create_session`], and [`Error::Unsupported`].
    pub async fn create_primary(&self, options: &SessionOptions) -> Result<PrimarySession, Error> {
        PrimarySession::create(self, options).await
    }
}

impl Session {
    /// Opens a session for datagrams on the same router: on this session's destination where it
    /// [lends](SessionOptions::lend) it, and otherwise on a destination of its own with these options. Of several sessions on
    /// one destination each receives what is sent to its `ports.from`; a router that carries no ports gives each datagram to
    /// any one of them.
    ///
    /// # Errors
    /// As [`Router::create_datagram_session`].
    pub async fn open_datagrams(
        &self,
        style: DatagramStyle,
        ports: Ports,
        options: &SessionOptions,
    ) -> Result<DatagramSession, Error> {
        match self.shared_control() {
            Some(control) if self.capabilities().datagrams_beside_streams(style) => {
                let primary = PrimarySession::on(Arc::clone(control), self.private_key().clone());
                primary.add_datagrams(style, ports).await
            }
            _ => self.open_datagrams_apart(style, ports, options).await,
        }
    }

    /// Opens a session for datagrams on the same router and on a destination of its own.
    ///
    /// # Errors
    /// As [`Router::create_datagram_session`].
    pub async fn open_datagrams_apart(
        &self,
        style: DatagramStyle,
        ports: Ports,
        options: &SessionOptions,
    ) -> Result<DatagramSession, Error> {
        DatagramSession::create(self.router(), style, ports, options).await
    }
}
