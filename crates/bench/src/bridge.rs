//! A SAM bridge that answers at once and connects every stream to the service.
//!
//! The bridge of the test kit records commands and can misbehave. This one costs as little as possible, so that the proxy is
//! measured. It answers like Java I2P.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
};

use anyhow::{Context, Result};

use crate::service::{self, Service};

/// The name of the service in the address book of the bridge.
pub(crate) const HOST: &str = "service.i2p";

/// A running bridge. It ends with the process.
pub(crate) struct Bridge {
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Bridge {
    /// Starts it in front of the service.
    pub(crate) fn start(service: &Service) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port for the SAM bridge")?;
        let address = listener.local_addr()?;
        let service = service.clone();
        let answers = Answers::new();
        service::serve_each(listener, move |stream| serve(stream, &answers, &service));
        Ok(Self { address })
    }
}

/// The answers that are always the same.
struct Answers {
    session: String,
    name: String,
}

/// The answer to a command.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// A line.
    Line(String),
    /// The connection becomes a stream to this port of the service.
    Stream(u16),
}

/// Answers commands until the connection becomes a stream or ends.
fn serve(stream: TcpStream, answers: &Answers, service: &Service) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(1024, stream);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        match answers.to(line.trim_end()) {
            Answer::Line(answer) => reader.get_mut().write_all(answer.as_bytes())?,
            Answer::Stream(port) => {
                reader.get_mut().write_all(b"STREAM STATUS RESULT=OK\n")?;
                // A client sends nothing before the stream is granted, so the reader has buffered nothing.
                return service.serve(port, reader.into_inner());
            }
        }
        line.clear();
    }
    Ok(())
}

impl Answers {
    fn new() -> Self {
        let (key, destination) = (sam_testkit::private_key(), sam_testkit::destination());
        Self {
            session: format!("SESSION STATUS RESULT=OK DESTINATION={key}\n"),
            name: format!("NAMING REPLY RESULT=OK NAME={HOST} VALUE={destination}\n"),
        }
    }

    fn to(&self, line: &str) -> Answer {
        let value = |key: &str| line.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        let mut words = line.split(' ');
        Answer::Line(match (words.next(), words.next()) {
            (Some("HELLO"), Some("VERSION")) => "HELLO REPLY RESULT=OK VERSION=3.3\n".into(),
            (Some("SESSION"), Some("CREATE")) => self.session.clone(),
            (Some("SESSION"), Some("ADD")) => {
                format!("SESSION STATUS RESULT=OK ID=\"{}\"\n", value("ID").unwrap_or_default())
            }
            (Some("NAMING"), Some("LOOKUP")) => match value("NAME").unwrap_or_default() {
                HOST => self.name.clone(),
                // The proxy looks up other names to find out what kind of router it has.
                name => format!("NAMING REPLY RESULT=KEY_NOT_FOUND NAME={name}\n"),
            },
            (Some("PING"), text) => format!("PONG {}\n", text.unwrap_or_default()),
            (Some("STREAM"), Some("CONNECT")) => match value("TO_PORT").and_then(|port| port.parse().ok()) {
                Some(port) => return Answer::Stream(port),
                None => "STREAM STATUS RESULT=I2P_ERROR MESSAGE=\"no port\"\n".into(),
            },
            _ => "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"unknown command\"\n".into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_have_their_answers() {
        let answers = Answers::new();
        for (line, start) in [
            ("HELLO VERSION MIN=3.1 MAX=3.3", "HELLO REPLY RESULT=OK VERSION=3.3\n"),
            (
                "SESSION CREATE STYLE=STREAM ID=a DESTINATION=TRANSIENT",
                "SESSION STATUS RESULT=OK DESTINATION=",
            ),
            ("SESSION ADD STYLE=STREAM ID=b", "SESSION STATUS RESULT=OK ID=\"b\"\n"),
            ("NAMING LOOKUP NAME=service.i2p", "NAMING REPLY RESULT=OK NAME=service.i2p VALUE="),
            ("NAMING LOOKUP NAME=", "NAMING REPLY RESULT=KEY_NOT_FOUND NAME=\n"),
            ("STREAM CONNECT ID=a DESTINATION=x", "STREAM STATUS RESULT=I2P_ERROR"),
            ("QUIT", "SESSION STATUS RESULT=I2P_ERROR"),
        ] {
            let Answer::Line(answer) = answers.to(line) else { panic!("{line}") };
            assert!(answer.starts_with(start) && answer.ends_with('\n'), "{line}: {answer}");
        }
        assert_eq!(
            answers.to("STREAM CONNECT ID=a DESTINATION=x SILENT=false TO_PORT=80"),
            Answer::Stream(80)
        );
    }

    #[test]
    fn a_real_client_gets_a_stream() {
        let service = Service::start().unwrap();
        let address = Bridge::start(&service).unwrap().address;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let greeting = runtime.block_on(async {
            let bridge = i2p_sam::Bridge::new(address.to_string());
            let session = bridge.create_session(&i2p_sam::SessionOptions::default()).await.unwrap();
            let destination = session.lookup(&HOST.parse().unwrap()).await.unwrap();
            let mut stream = session.connect(&destination.into(), service.greeting.port()).await.unwrap();
            let mut greeting = [0];
            tokio::io::AsyncReadExt::read_exact(&mut stream, &mut greeting).await.unwrap();
            greeting
        });
        assert_eq!(greeting, [service::GREETING]);
    }
}
