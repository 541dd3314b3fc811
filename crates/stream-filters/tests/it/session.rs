//! Runs a filter over a conversation.

use proptest::prelude::*;
use stream_filters::{Cut, Event, Filter, Next, Output, Protocol, Side};

/// What one side says, in order.
pub(crate) type Words = (Side, Vec<u8>);

/// What came out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) to_server: Vec<u8>,
    pub(crate) to_client: Vec<u8>,
    pub(crate) events: Vec<Event>,
    pub(crate) end: Result<Next, Cut>,
}

impl Outcome {
    /// What the server got.
    pub(crate) fn server_text(&self) -> String {
        String::from_utf8_lossy(&self.to_server).into_owned()
    }

    /// What the client got.
    pub(crate) fn client_text(&self) -> String {
        String::from_utf8_lossy(&self.to_client).into_owned()
    }
}

/// Gives the filter all that is said, in chunks of these sizes, over and over.
pub(crate) fn run_in(protocol: Protocol, words: &[Words], sizes: &[usize]) -> Outcome {
    let mut filter = Filter::new(protocol);
    let (mut to_server, mut to_client) = (Output::default(), Output::default());
    let (mut events, mut end) = (vec![], Ok(Next::Filter));
    let mut sizes = sizes.iter().copied().cycle();
    'all: for (side, bytes) in words {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (chunk, tail) = rest.split_at(sizes.next().unwrap_or(usize::MAX).clamp(1, rest.len()));
            rest = tail;
            let output = if *side == Side::Client { &mut to_server } else { &mut to_client };
            end = match side {
                Side::Client => filter.client(chunk, output),
                Side::Server => filter.server(chunk, output),
            };
            events.append(&mut output.events);
            if end.is_err() {
                break 'all;
            }
        }
    }
    Outcome { to_server: to_server.bytes, to_client: to_client.bytes, events, end }
}

/// Gives the filter all that is said.
pub(crate) fn run(protocol: Protocol, words: &[Words]) -> Outcome {
    run_in(protocol, words, &[])
}

/// The client says this.
pub(crate) fn client(text: &str) -> Words {
    (Side::Client, text.as_bytes().to_vec())
}

/// The server says this.
pub(crate) fn server(text: &str) -> Words {
    (Side::Server, text.as_bytes().to_vec())
}

/// What the server gets for what the client says.
pub(crate) fn sent(protocol: Protocol, text: &str) -> String {
    run(protocol, &[client(text)]).server_text()
}

/// Conversations of these pieces, and of any bytes.
pub(crate) fn conversations(pieces: &'static [&'static str]) -> impl Strategy<Value = Vec<Words>> {
    let side = prop_oneof![Just(Side::Client), Just(Side::Server)];
    let piece = prop_oneof![
        8 => prop::sample::select(pieces).prop_map(|piece| piece.as_bytes().to_vec()),
        2 => prop::sample::select(&["\r\n", "\n", "\r", " ", ".", ":"][..]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    let words = prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat());
    prop::collection::vec((side, words), 0..8)
}

/// The split into chunks changes nothing.
pub(crate) fn check_chunks(
    protocol: Protocol,
    words: &[Words],
    sizes: &[usize],
) -> Result<(), TestCaseError> {
    prop_assert_eq!(run(protocol, words), run_in(protocol, words, sizes));
    prop_assert_eq!(run(protocol, words), run_in(protocol, words, &[1]));
    Ok(())
}

/// Whether a text holds a word, in any spelling.
pub(crate) fn holds(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}
