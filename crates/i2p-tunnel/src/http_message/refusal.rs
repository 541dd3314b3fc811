/// Why a request is not passed on. The connection ends behind each of them, because what follows could be taken for something
/// else than the client meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The head is longer than [`MAX_HEAD_BYTES`](super::syntax::MAX_HEAD_BYTES).
    HeadTooLong,
    /// There are more fields than [`MAX_FIELDS`](super::syntax::MAX_FIELDS).
    TooManyFields,
    /// The head did not arrive in time.
    TooSlow,
    /// A line ends with a line feed alone, or has a carriage return inside.
    BareLineEnd,
    /// A control character.
    ControlByte,
    /// The first line is not that of a request.
    RequestLine,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    Version,
    /// The target is not a URL.
    Target,
    /// The target has a username or a password.
    UserInfo,
    /// The target is only a path: a request to a web server.
    PathOnly,
    /// `https://`, for which clients use CONNECT.
    Https,
    /// Another scheme than `http://`.
    Scheme,
    /// A CONNECT behind other requests.
    LateConnect,
    /// TRACE, which would show the client what the proxy has sent.
    Trace,
    /// A field goes on in the next line (`obs-fold`, RFC 9112 section 5.2).
    FoldedLine,
    /// Whitespace around a name, or a name with other characters than a token has.
    FieldName,
    /// No Host, several, or one that is not a host.
    Host,
    /// The length of the body is ambiguous: several lengths, or a length and a transfer coding (RFC 9112 section 6.3).
    AmbiguousLength,
    /// The length of the body is not a number.
    ContentLength,
    /// Another transfer coding than `chunked`.
    TransferCoding,
    /// Another expectation than `100-continue`.
    Expectation,
    /// The body is malformed, or ends before its end.
    Body,
}

impl Refusal {
    /// All variants, for tables and tests.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 22] = [
        Self::HeadTooLong,
        Self::TooManyFields,
        Self::TooSlow,
        Self::BareLineEnd,
        Self::ControlByte,
        Self::RequestLine,
        Self::Version,
        Self::Target,
        Self::UserInfo,
        Self::PathOnly,
        Self::Https,
        Self::Scheme,
        Self::LateConnect,
        Self::Trace,
        Self::FoldedLine,
        Self::FieldName,
        Self::Host,
        Self::AmbiguousLength,
        Self::ContentLength,
        Self::TransferCoding,
        Self::Expectation,
        Self::Body,
    ];

    /// Status (RFC 9110 section 15), what is wrong, and what to do about it. Nothing of the request is repeated.
    pub(crate) fn row(self) -> (u16, &'static str, &'static str) {
        let program = "The program that sent it is at fault, or somebody tries to deceive the proxy.";
        match self {
            Self::HeadTooLong => (
                431,
                "the head of the request is longer than 64 KiB",
                "Delete the cookies of the site, or shorten the address.",
            ),
            Self::TooManyFields => (431, "the request has more than 128 header fields", program),
            Self::TooSlow => (408, "the request did not arrive in time", "Try again."),
            Self::BareLineEnd => (400, "a line of the request does not end with CR and LF", program),
            Self::ControlByte => (400, "the request contains a control character", program),
            Self::RequestLine => (400, "the first line of the request is malformed", program),
            Self::Version => (
                505,
                "the request has another version of HTTP than 1.0 and 1.1",
                "Set the program to HTTP version 1.1.",
            ),
            Self::Target => (
                400,
                "the address of the request is malformed",
                "Check the address: it begins with http://, has no spaces and no # behind the host, and its port is from 1 to 65535.",
            ),
            Self::UserInfo => (
                400,
                "the address contains a user name or a password",
                "Remove what precedes the @, which often only disguises where a link leads.",
            ),
            Self::PathOnly => (
                400,
                "the request names no host, as if the proxy were a web server",
                "Enter this address and port as a proxy, not as the address of a page.",
            ),
            Self::Https => (
                501,
                "https:// addresses are not fetched for the client",
                "Let the program use CONNECT for https, as browsers do: the proxy then carries TLS without seeing inside.",
            ),
            Self::Scheme => (
                501,
                "the proxy fetches http:// addresses only",
                "Use http://, or SOCKS for other protocols.",
            ),
            Self::LateConnect => (
                501,
                "CONNECT followed another request on the same connection",
                "Send CONNECT on a connection of its own.",
            ),
            Self::Trace => (405, "TRACE is not passed on", "Use another method."),
            Self::FoldedLine => (400, "a header field is folded over several lines", program),
            Self::FieldName => (400, "the name of a header field is malformed", program),
            Self::Host => (400, "the request needs exactly one Host, and that has to be a host", program),
            Self::AmbiguousLength => (400, "the length of the request is ambiguous", program),
            Self::ContentLength => (400, "the length of the request is not a number", program),
            Self::TransferCoding => (
                501,
                "the request has another transfer coding than chunked",
                "Send the body chunked, or with its length.",
            ),
            Self::Expectation => {
                (417, "the request expects something else than 100-continue", "Send it without Expect.")
            }
            Self::Body => (400, "the body of the request is malformed or incomplete", program),
        }
    }
}
