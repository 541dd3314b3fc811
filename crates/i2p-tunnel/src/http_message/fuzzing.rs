use super::{
    requests::{Event, Requests},
    syntax::MAX_FIELDS,
};

/// Requests of a client: whatever is accepted is the same in one piece and in single bytes, hyper's parser reads the same heads, and
/// nothing follows what is refused.
///
/// # Panics
/// If a property does not hold.
pub fn check_http_requests(input: &[u8]) {
    let whole = events(input, input.len().max(1));
    assert_eq!(whole, events(input, 1), "it depends on how the data arrives");
}

/// A summary of all events: heads with what hyper's parser makes of them, and the bytes of bodies.
fn events(input: &[u8], piece: usize) -> Vec<String> {
    let (mut requests, mut pending, mut found) = (Requests::default(), Vec::new(), vec![String::new()]);
    for piece in input.chunks(piece) {
        pending.extend_from_slice(piece);
        while !pending.is_empty() {
            let taken = match requests.next(&pending) {
                Event::More => break,
                Event::Head(length, mut head) => {
                    found.push(format!("{} {} {:?} {:?}", head.method, head.path, head.port, head.framing));
                    check_for_hyper(&head.take_for_hyper());
                    found.push(String::new());
                    length
                }
                Event::Body(count) => {
                    assert!(count > 0 && count <= pending.len(), "no progress");
                    if let (Some(last), Some(body)) = (found.last_mut(), pending.get(..count)) {
                        last.extend(body.iter().map(|byte| format!("{byte:02x}")));
                    }
                    count
                }
                Event::Refused(refusal) => {
                    // Data of the same body may have been passed before it was refused.
                    found.pop();
                    found.push(format!("{refusal:?}"));
                    return found;
                }
            };
            pending.drain(..taken);
        }
    }
    found
}

/// What hyper is given is one complete head for its parser.
fn check_for_hyper(head: &[u8]) {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    assert_eq!(
        request.parse(head),
        Ok(httparse::Status::Complete(head.len())),
        "{}",
        String::from_utf8_lossy(head)
    );
    assert_eq!(request.path, Some("/"));
}
