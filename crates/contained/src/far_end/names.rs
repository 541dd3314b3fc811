//! A name server outside I2P, which knows one name.

use dns_answers::{Answer, Query, Question, Rejected};
use tokio::net::UdpSocket;

use super::{OUTSIDE_ADDRESS, OUTSIDE_NAME};

/// How long an answer holds.
const TTL_SECONDS: u32 = 1;

/// Answers queries.
pub(super) async fn serve(socket: UdpSocket) {
    let mut buffer = [0; 1500];
    // A client that has gone makes one call fail.
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        if let Some(answer) = answer(buffer.get(..length).unwrap_or_default()) {
            let _ = socket.send_to(&answer, client).await;
        }
    }
}

fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let query = match Query::parse(query) {
        Ok(query) => query,
        Err(Rejected::Answered(bytes)) => return Some(bytes),
        Err(_) => return None,
    };
    let answer = match query.question() {
        // Of another family than the question's, it is no data.
        Question::Address { name, .. } if name.eq_ignore_ascii_case(OUTSIDE_NAME.as_bytes()) => {
            Answer::Address { address: OUTSIDE_ADDRESS.into(), ttl_seconds: TTL_SECONDS }
        }
        _ => Answer::NoSuchName,
    };
    Some(query.answer(answer))
}
