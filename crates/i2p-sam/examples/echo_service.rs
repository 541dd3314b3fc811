//! An echo service on I2P: it sends back whatever a client sends.
//!
//! The router must run, with its SAM bridge enabled. The second argument is the key file; the service has the same address
//! as long as it has the same keys.
//!
//! ```sh
//! cargo run -p i2p-sam --example echo_service -- 127.0.0.1:7656 echo.dat
//! ```
//!
//! It prints its address, which `echo_client` needs.

use std::{env, error::Error};

use i2p_sam::{Bridge, KeyFile, SamStream, Session, SessionOptions};
use tokio::{io, task::JoinSet};

/// How many accepts wait at once. A router refuses clients while no accept waits.
const WAITING_ACCEPTS: usize = 8;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let bridge = Bridge::new(arguments.next().unwrap_or_else(|| "127.0.0.1:7656".to_owned()));
    let keys = KeyFile::new(arguments.next().unwrap_or_else(|| "echo.dat".to_owned()));
    let session = open(&bridge, &keys).await?;
    println!("{}", session.destination().b32());
    serve(session).await;
    Err("the router has closed the session".into())
}

/// Opens a session that clients can find. Returns once its tunnels are built, which can take a router that has just started
/// minutes.
pub(crate) async fn open(bridge: &Bridge, keys: &KeyFile) -> Result<Session, Box<dyn Error>> {
    let keys = keys.load_or_generate(bridge).await?;
    let options = SessionOptions::default().private_key(keys).publish(true);
    Ok(bridge.create_session(&options).await?)
}

/// Serves all clients until the session is lost.
pub(crate) async fn serve(session: Session) {
    let mut acceptors = JoinSet::new();
    for _ in 0..WAITING_ACCEPTS {
        acceptors.spawn(accept(session.clone()));
    }
    session.lost().await;
}

async fn accept(session: Session) {
    while let Ok(accepted) = session.accept().await {
        tokio::spawn(async move {
            if let Err(error) = echo(accepted.stream).await {
                eprintln!("a client's stream failed: {error}");
            }
        });
    }
}

/// Sends back what arrives on a stream, until the client closes it.
async fn echo(stream: SamStream) -> io::Result<u64> {
    let (mut read, mut write) = io::split(stream);
    io::copy(&mut read, &mut write).await
}
