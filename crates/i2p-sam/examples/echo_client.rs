//! A client of `echo_service`: it sends a text to a service on I2P and prints the answer.
//!
//! The router must run, with its SAM bridge enabled. It need not be the router of the service.
//!
//! ```sh
//! cargo run -p i2p-sam --example echo_client -- 127.0.0.1:7656 ADDRESS.b32.i2p "hello, I2P"
//! ```

use std::{env, error::Error};

use i2p_name::I2pName;
use i2p_sam::{Bridge, SessionOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [bridge, service, text] = arguments.as_slice() else {
        return Err("usage: echo_client HOST:PORT SERVICE.i2p TEXT".into());
    };
    println!("{}", ask(&Bridge::new(bridge), &I2pName::parse(service)?, text).await?);
    Ok(())
}

/// Connects to the service, sends the text, and returns the answer of the same length.
pub(crate) async fn ask(bridge: &Bridge, service: &I2pName, text: &str) -> Result<String, Box<dyn Error>> {
    // By default a session is a client's: it has a new destination that nobody can find. It is closed when dropped.
    let session = bridge.create_session(&SessionOptions::default()).await?;
    let mut stream = session.connect(service, 0).await?;
    stream.write_all(text.as_bytes()).await?;
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer).await?;
    Ok(String::from_utf8(answer)?)
}
