//! A stream between this process's stdin and stdout, or a connection of this machine, and a peer in I2P.

use std::{cell::Cell, io, time::Duration};

use i2p_tunnel::{ClientEnd, Limits, Opened, Socket};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// Bytes moved at once.
const CHUNK: usize = 64 * 1024;

/// A stream to a peer.
pub(in crate::commands) struct Stream {
    opened: Opened,
    /// How long the peer may be silent once we have finished, where it is not told that we have.
    silence: Duration,
}

impl Stream {
    /// One that a proxy opened: it is told of our end, and knows what to do with it.
    pub(in crate::commands) fn through_proxy(socket: Socket, first_data: Vec<u8>) -> Self {
        let opened = Opened { socket, first_data, client_end: ClientEnd::PassedOn, hold: None };
        Self { opened, silence: Duration::ZERO }
    }

    /// One of a session of our own.
    pub(in crate::commands) fn of_session(opened: Opened, silence: Duration) -> Self {
        Self { opened, silence }
    }

    /// Relays until the peer has finished. The end of `input` is passed on, or kept where passing it on would end the stream:
    /// then a peer that is silent for too long is waited for no more.
    async fn relay(
        self,
        mut input: impl AsyncRead + Unpin,
        mut output: impl AsyncWrite + Unpin,
    ) -> Result<(), Broken> {
        let Self { opened, silence } = self;
        let Opened { socket, first_data, client_end, hold: _hold } = opened;
        // What may fail makes things slower and nothing else.
        let _ = socket.send_at_once();
        let (mut from_peer, mut to_peer) = tokio::io::split(socket);
        let finished = CancellationToken::new();
        let reset = Cell::new(None);
        let up = async {
            let mut buffer = vec![0; CHUNK];
            loop {
                let length = input.read(&mut buffer).await.map_err(Broken::Input)?;
                let Some(bytes @ [_, ..]) = buffer.get(..length) else { break };
                // A peer that takes no more may still have something to say.
                if let Err(error) = to_peer.write_all(bytes).await {
                    // A reset is told once: whoever reads on finds no more than an end. One that has closed has said its own end.
                    if error.kind() != io::ErrorKind::BrokenPipe {
                        reset.set(Some(error));
                    }
                    break;
                }
            }
            match client_end {
                ClientEnd::PassedOn => drop(to_peer.shutdown().await),
                ClientEnd::Held => finished.cancel(),
            }
            std::future::pending().await
        };
        let down = async {
            write(&mut output, &first_data).await?;
            let mut buffer = vec![0; CHUNK];
            loop {
                let given_up = async {
                    finished.cancelled().await;
                    sleep(silence).await;
                };
                let length = tokio::select! {
                    read = from_peer.read(&mut buffer) => read.map_err(Broken::Peer)?,
                    () = given_up => return Err(Broken::Silent(silence)),
                };
                match buffer.get(..length) {
                    None | Some([]) => break,
                    Some(bytes) => write(&mut output, bytes).await?,
                }
            }
            if let Some(error) = reset.take() {
                return Err(Broken::Peer(error));
            }
            // Gone already, perhaps.
            let _ = output.shutdown().await;
            Ok(())
        };
        tokio::select! {
            result = down => result,
            result = up => result,
        }
    }

    /// Relays between the peer and a connection of this machine. What breaks on one side is reset on the other.
    pub(in crate::commands) async fn forward(self, local: Socket, limits: &Limits) {
        // What either sends goes at once, as it would without us between.
        let _ = (local.send_at_once(), self.opened.socket.send_at_once());
        if let Err(error) = self.opened.relay(local, limits).await {
            tracing::debug!("a stream broke: {}", error.kind());
        }
    }

    /// Ends the stream, of which nobody has heard anything.
    pub(in crate::commands) fn refuse(self) {
        self.opened.reset();
    }
}

/// Which side broke.
enum Broken {
    Peer(io::Error),
    /// The peer has said nothing for so long, and not that it has finished.
    Silent(Duration),
    /// What was to be sent cannot be read to its end, so that what was sent is not all.
    Input(io::Error),
    Output(io::Error),
}

async fn write(output: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), Broken> {
    output.write_all(bytes).await.map_err(Broken::Output)?;
    // Whoever reads from us may wait for these, and send nothing before they are there.
    output.flush().await.map_err(Broken::Output)
}

/// Relays between the peer and stdin and stdout.
pub(in crate::commands) async fn relay(stream: Stream) -> Result<(), Failure> {
    stream.relay(tokio::io::stdin(), tokio::io::stdout()).await.map_err(|broken| match broken {
        Broken::Peer(error) => Failure::run_time(format_args!(
            "the stream broke: {error}. The far end, or the way there, is gone: try again"
        )),
        Broken::Silent(silence) => Failure::run_time(format_args!(
            "the far end was silent for {} after all was sent, and has not said that it has finished: what came may not be \
             all. [limits] half-close says how long to wait",
            humantime::format_duration(silence)
        )),
        Broken::Input(error) => Failure::run_time(format_args!(
            "cannot read stdin: {error}. What was sent before is not all that there was"
        )),
        Broken::Output(error) => Failure::run_time(format_args!("cannot write to stdout: {error}")),
    })
}
