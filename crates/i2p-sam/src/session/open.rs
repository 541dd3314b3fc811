//! How sessions are opened: alone, beside streams, as a primary.

use std::sync::Arc;

use super::{Inner, Session, control::Control, datagram::DatagramSession, primary::Primary};
use crate::{
    bridge::Bridge,
    error::Error,
    wire::{DatagramStyle, Ports, SessionId, SessionOptions, Style},
};

impl Bridge {
    /// Opens a session for streams: a destination with tunnels of its own. Returns when the tunnels are built.
    ///
    /// # Errors
    /// What [`Bridge::capabilities`] can say, and [`Error::Refused`] with the router's reason.
    pub async fn create_session(&self, options: &SessionOptions) -> Result<Session, Error> {
        Session::create(self, options).await
    }

    /// Opens a session for datagrams of one kind. They come and go over UDP; `ports` are those that are listened on and
    /// sent from where a datagram does not say others.
    ///
    /// # Errors
    /// As [`Bridge::create_session`], and [`Error::Unsupported`], [`Error::Udp`].
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
    /// As [`Bridge::create_session`], and [`Error::Unsupported`].
    pub async fn create_primary(&self, options: &SessionOptions) -> Result<Primary, Error> {
        Primary::create(self, options).await
    }
}

impl Session {
    pub(crate) async fn create(bridge: &Bridge, options: &SessionOptions) -> Result<Self, Error> {
        if options.lends() && bridge.capabilities().await?.datagrams_beside_streams(DatagramStyle::Datagram) {
            return Primary::create(bridge, options).await?.add_streams(0).await;
        }
        let id = SessionId::random().map_err(Error::Random)?;
        let (control, private_key) = Control::create(bridge, &id, Style::Stream, options).await?;
        Ok(Self::with(bridge.clone(), Arc::new(control), id, private_key, false))
    }

    /// Opens a session for datagrams: on this one's destination where it [lends](SessionOptions::lend) it, and else on one of
    /// its own with these options. Where several are on one destination, each gets what is sent to its `ports.from`, and
    /// routers that carry no ports give each datagram to one of them.
    ///
    /// # Errors
    /// As [`Bridge::create_datagram_session`].
    pub async fn open_datagrams(
        &self,
        style: DatagramStyle,
        ports: Ports,
        options: &SessionOptions,
    ) -> Result<DatagramSession, Error> {
        let Inner { bridge, control, private_key, subsession, .. } = &*self.inner;
        if !subsession || !control.capabilities().datagrams_beside_streams(style) {
            return DatagramSession::create(bridge, style, ports, options).await;
        }
        Primary::of(bridge.clone(), Arc::clone(control), private_key.clone())
            .add_datagrams(style, ports)
            .await
    }

    /// Opens a session for datagrams on a destination of its own.
    ///
    /// # Errors
    /// As [`Bridge::create_datagram_session`].
    pub async fn open_datagrams_apart(
        &self,
        style: DatagramStyle,
        ports: Ports,
        options: &SessionOptions,
    ) -> Result<DatagramSession, Error> {
        DatagramSession::create(&self.inner.bridge, style, ports, options).await
    }
}
