//! Relays a stream of a peer in I2P to stdin and stdout, or to a connection on this machine.

use std::{cell::Cell, io, time::Duration};

use i2p_tunnel::{ClientFin, Limits, OpenStream, Socket};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::{command_error::CommandError, terminal::output::wanted};

/// How much is read at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// A stream of a peer.
pub(in crate::commands) struct PeerStream {
    opened: OpenStream,
    /// How long the peer may be silent after the end of our data, if the peer is not told of that end.
    max_silence: Duration,
}

impl PeerStream {
    /// A stream that the running proxy opened. The proxy is told of the end of our data and handles it.
    pub(in crate::commands) fn through_proxy(socket: Socket) -> Self {
        let opened =
            OpenStream { socket, first_data: Vec::new(), client_fin: ClientFin::Forwarded, hold: None };
        Self { opened, max_silence: Duration::ZERO }
    }

    /// A stream of a session of this process.
    pub(in crate::commands) fn of_session(opened: OpenStream, max_silence: Duration) -> Self {
        Self { opened, max_silence }
    }

    /// Relays until the peer closes the stream. The end of `input` is passed on, unless that would end the whole stream. In that case
    /// the relay gives up once the peer has been silent for too long.
    async fn relay(
        self,
        mut input: impl AsyncRead + Unpin,
        mut output: impl AsyncWrite + Unpin,
    ) -> Result<(), RelayError> {
        let Self { opened, max_silence } = self;
        let OpenStream { socket, first_data, client_fin, hold: _hold } = opened;
        // A failure only makes the stream slower.
        let _ = socket.set_nodelay();
        let (mut from_peer, mut to_peer) = tokio::io::split(socket);
        let finished = CancellationToken::new();
        let reset = Cell::new(None);
        let up = async {
            let mut buffer = vec![0; BUFFER_BYTES];
            loop {
                let length = input.read(&mut buffer).await.map_err(RelayError::Input)?;
                let Some(bytes @ [_, ..]) = buffer.get(..length) else { break };
                // A peer that no longer reads may still send.
                if let Err(error) = to_peer.write_all(bytes).await {
                    // The kernel reports a reset once, and a later read sees a normal end. EPIPE is no reset: the peer has closed.
                    if error.kind() != io::ErrorKind::BrokenPipe {
                        reset.set(Some(error));
                    }
                    break;
                }
            }
            match client_fin {
                ClientFin::Forwarded => drop(to_peer.shutdown().await),
                ClientFin::Held => finished.cancel(),
            }
            std::future::pending().await
        };
        let down = async {
            write(&mut output, &first_data).await?;
            let mut buffer = vec![0; BUFFER_BYTES];
            loop {
                let given_up = async {
                    finished.cancelled().await;
                    sleep(max_silence).await;
                };
                let length = tokio::select! {
                    read = from_peer.read(&mut buffer) => read.map_err(RelayError::Peer)?,
                    () = given_up => return Err(RelayError::Silent(max_silence)),
                };
                match buffer.get(..length) {
                    None | Some([]) => break,
                    Some(bytes) => write(&mut output, bytes).await?,
                }
            }
            if let Some(error) = reset.take() {
                return Err(RelayError::Peer(error));
            }
            // Stdout may be closed already.
            let _ = output.shutdown().await;
            Ok(())
        };
        tokio::select! {
            result = down => result,
            result = up => result,
        }
    }

    /// Relays between the peer and a connection on this machine. If one side breaks, the other is reset.
    pub(in crate::commands) async fn forward(self, local: Socket, limits: &Limits) {
        // Small writes go out at once, as they would on a direct connection.
        let _ = (local.set_nodelay(), self.opened.socket.set_nodelay());
        if let Err(error) = self.opened.relay(local, limits, None).await {
            tracing::debug!("a stream broke: {}", error.kind());
        }
    }

    /// Resets the stream before any data was relayed.
    pub(in crate::commands) fn reset(self) {
        self.opened.reset();
    }
}

/// Why a relay ended early.
enum RelayError {
    Peer(io::Error),
    /// The peer was silent for this long and has not closed the stream.
    Silent(Duration),
    /// The input could not be read to its end, so the peer did not get all of it.
    Input(io::Error),
    Output(io::Error),
}

async fn write(output: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), RelayError> {
    output.write_all(bytes).await.map_err(RelayError::Output)?;
    // The reader may wait for these bytes before it sends anything.
    output.flush().await.map_err(RelayError::Output)
}

/// Relays between a peer, stdin and stdout.
pub(in crate::commands) async fn relay(stream: PeerStream) -> Result<(), CommandError> {
    let Err(error) = stream.relay(tokio::io::stdin(), tokio::io::stdout()).await else { return Ok(()) };
    Err(match error {
        RelayError::Peer(error) => CommandError::run_time(format_args!(
            "the stream broke: {error}. The host or a tunnel to it is gone: try again"
        )),
        RelayError::Silent(max_silence) => CommandError::run_time(format_args!(
            "the host was silent for {} after the end of stdin and did not close the stream, so its data may be incomplete. \
             half-close under [limits] sets how long to wait",
            humantime::format_duration(max_silence)
        )),
        RelayError::Input(error) => CommandError::run_time(format_args!(
            "cannot read stdin: {error}. The host did not get all of the data"
        )),
        RelayError::Output(error) => return wanted(Err(error)).map(drop),
    })
}
