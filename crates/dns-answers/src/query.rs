use std::{fmt, net::IpAddr};

use hickory_proto::{
    op::{self, Edns, Header, Message, MessageType, Metadata, OpCode, ResponseCode},
    rr::{
        Name, RData, Record,
        rdata::{A, AAAA, PTR},
    },
    serialize::binary::{BinDecodable, BinDecoder, EncodedSize},
};

use crate::question::Question;

/// Most bytes of a query. A longest name with EDNS has fewer than 300; the rest is for options, which are ignored.
pub const MAX_QUERY_BYTES: usize = 4096;

/// Most bytes of an answer: what every client accepts in a UDP datagram (RFC 1035 section 4.2.1).
pub const MAX_ANSWER_BYTES: usize = 512;

/// The payload that we tell clients to send at most: the one that is not fragmented, as agreed for the DNS flag day 2020.
const PAYLOAD_BYTES: u16 = 1232;

/// What follows the name of a question.
const TYPE_AND_CLASS_BYTES: usize = 4;

/// Most records after the question: EDNS and a signature.
const MAX_ADDITIONAL_RECORDS: u16 = 4;

/// A query that deserves an answer: one question of the class of the internet.
pub struct Query {
    request: Metadata,
    asked: op::Query,
    question: Question,
    edns: Option<Edns>,
}

/// A message that gets no answer from the user of this crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejected {
    /// It is no query: send nothing. An answer to what may be an answer could be answered in turn.
    Ignored,
    /// Send these bytes, which say what is wrong. They are never more than the message had.
    Answered(Vec<u8>),
}

/// The answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer<'a> {
    /// An address. One of another family than the question's is [`NoData`](Self::NoData).
    Address {
        /// The address of the name.
        address: IpAddr,
        /// How long the client may keep it.
        ttl_seconds: u32,
    },
    /// The name of an address. One that DNS cannot carry is [`NoSuchName`](Self::NoSuchName).
    Name {
        /// The name, of ASCII characters.
        name: &'a str,
        /// How long the client may keep it.
        ttl_seconds: u32,
    },
    /// The name exists, but has nothing of this type. The client will not keep that.
    NoData,
    /// The name does not exist (NXDOMAIN). The client will not keep that.
    NoSuchName,
    /// Nobody can say now whether the name exists (SERVFAIL).
    Failure,
    /// The client is not served (REFUSED).
    Refused,
}

impl Query {
    /// Parses a message: a UDP datagram, or what follows the length over TCP.
    ///
    /// # Errors
    /// [`Rejected`] if it is malformed, or of a kind that is not answered.
    pub fn parse(bytes: &[u8]) -> Result<Self, Rejected> {
        let mut decoder = BinDecoder::new(bytes);
        let Ok(Header { metadata: request, counts, .. }) = Header::read(&mut decoder) else {
            return Err(Rejected::Ignored);
        };
        if request.message_type == MessageType::Response {
            return Err(Rejected::Ignored);
        }
        let reject = |code| Rejected::Answered(encode(&response(&request, code)));
        if request.op_code != OpCode::Query {
            return Err(reject(ResponseCode::NotImp));
        }
        let has_only_a_question = counts.queries == 1 && counts.answers == 0 && counts.authorities == 0;
        let is_small = bytes.len() <= MAX_QUERY_BYTES && counts.additionals <= MAX_ADDITIONAL_RECORDS;
        if !has_only_a_question || !is_small {
            return Err(reject(ResponseCode::FormErr));
        }
        let malformed = |_| reject(ResponseCode::FormErr);
        let asked = op::Query::read(&mut decoder).map_err(malformed)?;
        // A name may not point elsewhere in the message: only the header is before it.
        let name_bytes = asked.name().iter().map(|label| 1 + label.len()).sum::<usize>() + 1;
        let is_whole = decoder.index() == Header::LEN + name_bytes + TYPE_AND_CLASS_BYTES;
        let additional =
            Message::read_records(&mut decoder, counts.additionals.into(), true, request.op_code);
        let (_, edns, _) = additional.map_err(malformed)?;
        if !is_whole || !decoder.is_empty() {
            return Err(reject(ResponseCode::FormErr));
        }
        Self::of(request, asked, edns.as_ref())
    }

    fn of(request: Metadata, asked: op::Query, edns: Option<&Edns>) -> Result<Self, Rejected> {
        let is_known_version = edns.is_none_or(|edns| edns.version() == 0);
        let question = Question::of(&asked);
        let is_answered = question.is_some();
        let query = Self {
            request,
            asked,
            question: question.unwrap_or(Question::Nothing),
            edns: edns.map(our_edns),
        };
        match (is_known_version, is_answered) {
            (true, true) => Ok(query),
            (true, false) => Err(Rejected::Answered(query.answer(Answer::Refused))),
            (false, _) => Err(Rejected::Answered(query.response(ResponseCode::BADVERS, None))),
        }
    }

    /// What the client asks.
    #[must_use]
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// Encodes the answer, in at most [`MAX_ANSWER_BYTES`] bytes.
    #[must_use]
    pub fn answer(&self, answer: Answer<'_>) -> Vec<u8> {
        let (code, record) = match answer {
            Answer::Address { address, ttl_seconds } => {
                (ResponseCode::NoError, self.address_record(address, ttl_seconds))
            }
            Answer::Name { name, ttl_seconds } => match name_record(name) {
                Some(data) if matches!(self.question, Question::Pointer(_)) => {
                    (ResponseCode::NoError, Some((data, ttl_seconds)))
                }
                Some(_) => (ResponseCode::NoError, None),
                None => (ResponseCode::NXDomain, None),
            },
            Answer::NoData => (ResponseCode::NoError, None),
            Answer::NoSuchName => (ResponseCode::NXDomain, None),
            Answer::Failure => (ResponseCode::ServFail, None),
            Answer::Refused => (ResponseCode::Refused, None),
        };
        self.response(code, record)
    }

    fn response(&self, code: ResponseCode, record: Option<(RData, u32)>) -> Vec<u8> {
        let mut message = response(&self.request, code);
        message.add_query(self.asked.clone());
        if let Some((data, ttl_seconds)) = record {
            message.add_answer(Record::from_rdata(self.asked.name().clone(), ttl_seconds, data));
        }
        message.edns.clone_from(&self.edns);
        encode(&message)
    }

    fn address_record(&self, address: IpAddr, ttl_seconds: u32) -> Option<(RData, u32)> {
        let Question::Address { family, .. } = self.question else { return None };
        let data = match address {
            _ if !family.has(address) => return None,
            IpAddr::V4(address) => RData::A(A(address)),
            IpAddr::V6(address) => RData::AAAA(AAAA(address)),
        };
        Some((data, ttl_seconds))
    }
}

/// Shows nothing of the question.
impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Query(..)")
    }
}

/// The record of a name; `None` if DNS cannot carry it.
fn name_record(name: &str) -> Option<RData> {
    let mut name = Name::from_ascii(name).ok()?;
    name.set_fqdn(true);
    Some(RData::PTR(PTR(name)))
}

/// A response without a question. It says that recursion is available, because there is nobody else whom a client could ask.
fn response(request: &Metadata, code: ResponseCode) -> Message {
    let mut message = Message::response(request.id, request.op_code);
    message.metadata = Metadata::response_from_request(request);
    message.metadata.recursion_available = true;
    message.metadata.response_code = code;
    message
}

/// EDNS of an answer: our own, except that the bit "DNSSEC OK" is repeated (RFC 3225 section 3).
fn our_edns(theirs: &Edns) -> Edns {
    let mut edns = Edns::new();
    edns.set_dnssec_ok(theirs.flags().dnssec_ok).set_max_payload(PAYLOAD_BYTES);
    edns
}

/// Encodes a message. It only fails beyond 64 KiB, and ours have at most [`MAX_ANSWER_BYTES`].
fn encode(message: &Message) -> Vec<u8> {
    message.to_vec().unwrap_or_default()
}
