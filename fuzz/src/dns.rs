use dns_answers::{Answer, MAX_ANSWER_BYTES, Question, Rejected};

/// A DNS message: whatever it is answered with is short, has the number of the query, and is itself not answered.
///
/// # Panics
/// If the property does not hold.
pub fn dns_query(input: &[u8]) {
    match dns_answers::Query::parse(input) {
        Ok(query) => {
            let ttl_seconds = 60;
            let v4 = Answer::Address { address: [250, 0, 0, 1].into(), ttl_seconds };
            let v6 = Answer::Address { address: [0xfd; 16].into(), ttl_seconds };
            let name = Answer::Name { name: "forum.i2p", ttl_seconds };
            let others = [Answer::NoData, Answer::NoSuchName, Answer::Failure, Answer::Refused];
            for answer in [v4, v6, name].iter().chain(&others) {
                check(input, &query.answer(*answer), 28);
            }
            if let Question::Address { name, .. } | Question::Other { name } = query.question() {
                assert!(name.len() < 255 && !name.is_empty() && !name.ends_with(b".arpa"), "{name:?}");
            }
        }
        Err(Rejected::Answered(answer)) => check(input, &answer, 0),
        Err(Rejected::Ignored) => {}
    }
}

fn check(query: &[u8], answer: &[u8], adds: usize) {
    assert_eq!(answer.get(..2), query.get(..2), "the number of another query");
    assert!(answer.len() <= MAX_ANSWER_BYTES.min(query.len() + adds), "{} bytes", answer.len());
    assert_eq!(
        dns_answers::Query::parse(answer).err(),
        Some(Rejected::Ignored),
        "the answer would be answered"
    );
}
