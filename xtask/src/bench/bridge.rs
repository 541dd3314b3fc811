//! A SAM bridge that answers at once, with the service behind every stream.
//!
//! The test kit's bridge records and can be told to misbehave; this one is to cost as little as a bridge can, so that what is
//! measured is the proxy. Its answers are Java I2P's.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
};

use anyhow::{Context, Result};

use super::service::{self, Service};

/// The service's name in the bridge's address book.
pub(crate) const HOST: &str = "service.i2p";

/// A bridge that runs. It ends with the process.
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
        service::each(listener, move |stream| talk(stream, &answers, &service));
        Ok(Self { address })
    }
}

/// Answers that are always the same.
struct Answers {
    session: String,
    name: String,
}

/// What a command comes to.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// A line.
    Line(String),
    /// The connection becomes a stream to a port of the service.
    Stream(u16),
}

/// Lines until the connection becomes a stream or ends.
fn talk(stream: TcpStream, answers: &Answers, service: &Service) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(1024, stream);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        match answers.to(line.trim_end()) {
            Answer::Line(answer) => reader.get_mut().write_all(answer.as_bytes())?,
            Answer::Stream(port) => {
                reader.get_mut().write_all(b"STREAM STATUS RESULT=OK\n")?;
                // A client sends nothing to a stream before it is granted, so nothing of it was read.
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
                // How the proxy tells routers apart.
                nobody => format!("NAMING REPLY RESULT=KEY_NOT_FOUND NAME={nobody}\n"),
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
        let welcome = runtime.block_on(async {
            let bridge = i2p_sam::Bridge::new(address.to_string());
            let session = bridge.create_session(&i2p_sam::SessionOptions::default()).await.unwrap();
            let destination = session.lookup(&HOST.parse().unwrap()).await.unwrap();
            let mut stream = session.connect(&destination.into(), service.greeting.port()).await.unwrap();
            let mut welcome = [0];
            tokio::io::AsyncReadExt::read_exact(&mut stream, &mut welcome).await.unwrap();
            welcome
        });
        assert_eq!(welcome, [service::WELCOME]);
    }
}
