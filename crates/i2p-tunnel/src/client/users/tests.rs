use super::*;

const CLIENT: ClientAddress = ClientAddress::User(1);
const OTHER: ClientAddress = ClientAddress::User(2);

impl Users {
    async fn check(&self, client: ClientAddress, name: &[u8], password: &[u8]) -> bool {
        self.verdict(client, name, password).await == Verdict::Right
    }
}

/// A line with a cheap hash, so that tests are quick.
fn line(name: &str, password: &str) -> String {
    line_of_cost(name, password, 1)
}

fn line_of_cost(name: &str, password: &str, passes: u32) -> String {
    let params = Params::new(Params::MIN_M_COST, passes, 1, None).unwrap();
    let hash = Argon2::from(params).hash_password_with_salt(password.as_bytes(), b"salt of a test").unwrap();
    format!("{name}:{hash}")
}

fn users() -> Users {
    Users::parse(&format!("# friends\n\n{}\n{}\n", line("anna", "secret"), line("b", "x:y"))).unwrap()
}

/// Takes all turns to check a password.
async fn all_turns(users: &Users) -> Vec<verifier::Turn> {
    let mut turns = Vec::new();
    for _ in 0..verifier::MAX_CHECKS_AT_ONCE {
        turns.push(users.0.verifier.turn(CLIENT.into()).await.unwrap());
    }
    turns
}

#[tokio::test(start_paused = true)]
async fn only_a_users_own_password_is_right() {
    let users = users();
    for (name, password, right) in [
        ("anna", "secret", true),
        ("b", "x:y", true),
        ("anna", "x:y", false),
        ("anna", "Secret", false),
        ("anna", "", false),
        ("nobody", "secret", false),
        ("", "", false),
        // Shifted between the fields.
        ("annas", "ecret", false),
    ] {
        assert_eq!(
            users.check(CLIENT, name.as_bytes(), password.as_bytes()).await,
            right,
            "{name} {password}"
        );
        // Again, now from the remembered digest.
        assert_eq!(
            users.check(CLIENT, name.as_bytes(), password.as_bytes()).await,
            right,
            "{name} {password}"
        );
    }
}

/// The costs of the hashes that these names are checked against. None of them is a user's.
fn costs(users: &Users, names: &[String]) -> Vec<u32> {
    let cost = |name: &String| {
        let (hash, is_known) = users.hash_to_compute(name.as_bytes()).unwrap();
        assert!(!is_known);
        Params::try_from(hash).unwrap().t_cost()
    };
    names.iter().map(cost).collect()
}

#[test]
fn names_of_nobody_cost_as_much_as_those_of_users_and_always_the_same() {
    let names: Vec<_> = (0..1_000).map(|number| format!("nobody{number}")).collect();
    // With the salt of these tests, equal passwords would have equal hashes.
    let line =
        |number: u32| line_of_cost(&format!("user{number}"), &format!("secret{number}"), 1 + number % 4 / 3);
    let text: String = (0..8).map(|number| line(number) + "\n").collect();
    let users = Users::parse(&text).unwrap();
    let before = costs(&users, &names);
    let dear = before.iter().filter(|cost| **cost == 2).count();
    // A quarter of the users has the higher cost.
    assert!((190..310).contains(&dear), "{dear} of 1000");
    assert_eq!(costs(&Users::parse(&text).unwrap(), &names), before, "after a restart");
    let with_another = costs(&Users::parse(&(text + &line(11))).unwrap(), &names);
    let changed = before.iter().zip(&with_another).filter(|(a, b)| a != b).count();
    assert!(changed < 200, "{changed} of 1000");
    assert!(Users::parse("").unwrap().hash_to_compute(b"nobody").is_none());
}

#[tokio::test]
async fn checks_reuse_the_work_memory_of_earlier_ones() {
    let users = users();
    let guesses = (0..8).map(|guess| {
        let users = users.clone();
        tokio::spawn(async move { users.check(CLIENT, b"anna", format!("{guess}").as_bytes()).await })
    });
    for guess in guesses.collect::<Vec<_>>() {
        assert!(!guess.await.unwrap());
    }
    let memory = users.0.verifier.memory();
    assert!((1..=verifier::MAX_CHECKS_AT_ONCE).contains(&memory.len()), "{}", memory.len());
    assert!(memory.iter().all(|blocks| !blocks.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_delayed_and_a_verified_one_is_not() {
    let users = users();
    let begin = tokio::time::Instant::now();
    assert!(!users.check(CLIENT, b"anna", b"wrong").await);
    assert!(begin.elapsed() >= FAILURE_DELAY);
    assert!(users.check(CLIENT, b"anna", b"secret").await);
    // All turns are taken: only a remembered password can succeed.
    let _all = all_turns(&users).await;
    assert!(users.check(CLIENT, b"anna", b"secret").await);
    let wait = Duration::from_secs(5);
    assert!(
        tokio::time::timeout(wait, users.check(CLIENT, b"anna", b"other")).await.is_err(),
        "no other password is remembered"
    );
}

/// Other clients are checked as usual while one guesses, and so is that one once it has stopped.
#[tokio::test(start_paused = true)]
async fn a_client_that_guesses_many_passwords_delays_no_other() {
    let users = users();
    let mut guesses = tokio::task::JoinSet::new();
    let all = all_turns(&users).await;
    let begin = tokio::time::Instant::now();
    for guess in 0..1_500 {
        let users = users.clone();
        guesses.spawn(async move { users.check(CLIENT, b"anna", format!("{guess}").as_bytes()).await });
    }
    for _ in 0..1_500 - MAX_CHECKS_PER_CLIENT {
        let guess = tokio::time::timeout(FAILURE_DELAY * 9, guesses.join_next()).await.unwrap();
        assert!(!guess.unwrap().unwrap());
    }
    assert_eq!(begin.elapsed(), Duration::ZERO, "they were not checked");
    drop(all);
    assert!(users.check(OTHER, b"anna", b"secret").await);
    assert!(begin.elapsed() < FAILURE_DELAY);
    while let Some(guess) = guesses.join_next().await {
        assert!(!guess.unwrap());
    }
    assert!(users.check(CLIENT, b"b", b"x:y").await);
    assert_eq!(users.0.checks.lock().unwrap().capacity(), 0, "nothing is kept of clients that have left");
}

/// As many guesses from as many addresses as one address may have under way each.
#[tokio::test]
async fn guesses_from_many_addresses_do_not_delay_a_new_client() {
    const ADDRESSES: u32 = 60;
    let users = users();
    let turns = users.0.verifier.turns();
    let all = all_turns(&users).await;
    let guesser = |number: u32| ClientAddress::User(100 + number % ADDRESSES);
    let mut guesses = tokio::task::JoinSet::new();
    for number in 0..ADDRESSES * 16 {
        let (users, guess) = (users.clone(), (number / ADDRESSES).to_string());
        guesses.spawn(async move { users.check(guesser(number), b"anna", guess.as_bytes()).await });
    }
    let until = async |condition: &dyn Fn() -> bool| {
        while !condition() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    until(&|| (0..ADDRESSES).all(|number| turns.has_waiting(guesser(number).into()))).await;
    let new = users.clone();
    let other = tokio::spawn(async move { new.check(OTHER, b"anna", b"secret").await });
    until(&|| turns.has_waiting(OTHER.into())).await;
    drop(all);
    assert!(other.await.unwrap());
    guesses.abort_all();
    let given = turns.given();
    let before = given.iter().position(|client| *client == OTHER.into()).unwrap();
    assert!(before <= verifier::MAX_CHECKS_AT_ONCE + ADDRESSES as usize, "it waited for {before} turns");
}

/// A program that opens all its connections at once does not guess.
#[tokio::test(start_paused = true)]
async fn connections_with_the_same_password_share_one_check() {
    let users = users();
    let begin = tokio::time::Instant::now();
    for (password, right) in [(b"wrong!", false), (b"secret", true)] {
        let check = || {
            let users = users.clone();
            async move { users.check(CLIENT, b"anna", password).await }
        };
        let checks: tokio::task::JoinSet<_> =
            std::iter::repeat_with(check).take(MAX_CHECKS_PER_CLIENT * 4).collect();
        assert_eq!(checks.join_all().await, [right; MAX_CHECKS_PER_CLIENT * 4]);
    }
    assert!(begin.elapsed() < FAILURE_DELAY * 2);
}

#[tokio::test(start_paused = true)]
async fn a_reload_verifies_again_only_users_whose_password_has_changed() {
    let (anna, b) = (line("anna", "secret"), line("b", "x:y"));
    let before = Users::parse(&format!("{anna}\n{b}")).unwrap();
    assert!(before.check(CLIENT, b"anna", b"secret").await);
    assert!(before.check(CLIENT, b"b", b"x:y").await);
    let users = Users::parse(&format!("{anna}\n{}", line("b", "other"))).unwrap().with_verified_from(&before);
    // All turns are taken.
    let all = all_turns(&users).await;
    let kept = users.check(CLIENT, b"anna", b"secret");
    assert_eq!(tokio::time::timeout(FAILURE_DELAY, kept).await, Ok(true));
    let changed = users.check(CLIENT, b"b", b"x:y");
    assert!(tokio::time::timeout(FAILURE_DELAY, changed).await.is_err(), "it has to be verified");
    drop(all);
    assert!(!users.check(CLIENT, b"b", b"x:y").await);
    assert!(users.check(CLIENT, b"b", b"other").await);
    let gone = Users::parse(&b).unwrap().with_verified_from(&users);
    assert!(!gone.check(CLIENT, b"anna", b"secret").await);
}

#[test]
fn errors_name_the_malformed_line_and_do_not_quote_it() {
    let long = format!("{}:x", "n".repeat(256));
    let joined = format!("{}{}", line("anna", "secret").trim_end(), line("carl", "secret"));
    for (text, line, says) in [
        ("anna", 1, "expected name:$argon2id$"),
        ("\n#\nanna:secret", 3, "begins with $argon2id$"),
        ("anna:$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$MDEyMzQ1Njc4OWFiY2RlZg", 1, "begins with $argon2id$"),
        ("anna:$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ", 1, "is missing"),
        ("anna:$argon2id$v=19$m=8,t=1,p=1$!$!", 1, "is damaged"),
        (joined.as_str(), 1, "a line of its own"),
        ("anna:$argon2id$v=19$m=8,t=17,p=1$c2FsdHNhbHQ$MDEyMzQ1Njc4OWFiY2RlZg", 1, "too costly"),
        ("anna:$argon2id$v=19$m=262145,t=1,p=1$c2FsdHNhbHQ$MDEyMzQ1Njc4OWFiY2RlZg", 1, "too costly"),
        (":$argon2id$", 1, "1 to 255 bytes"),
        (long.as_str(), 1, "1 to 255 bytes"),
        ("<torS0X>0:x", 1, "Tor's programs"),
        ("a\tb:x", 1, "no control character"),
    ] {
        let error = Users::parse(text).unwrap_err();
        assert!(
            matches!(&error, UsersError::Lines(lines) if matches!(&lines[..], [it] if it.number == line && it.mistake.contains(says))),
            "{text}: {error}"
        );
        assert!(!error.to_string().contains("secret"));
    }
    let twice = format!("{0}\n{0}", line("anna", "secret"));
    assert!(
        Users::parse(&twice).unwrap_err().to_string().contains("line 2: an earlier line has the same name")
    );
}

#[test]
fn all_malformed_lines_are_named_up_to_a_limit() {
    let text = format!("anna\n{}\nb:secret\n", line("c", "secret"));
    let expected = "line 1: expected name:$argon2id$..., as `i2p-socks passwd` prints it; \
                    line 3: expected a hash that begins with $argon2id$ after the name";
    assert_eq!(Users::parse(&text).unwrap_err().to_string(), expected);
    for (lines, is_cut) in [(MAX_REPORTED_LINES, false), (MAX_REPORTED_LINES + 9, true)] {
        let said = Users::parse(&"anna\n".repeat(lines)).unwrap_err().to_string();
        assert_eq!(
            (said.matches("line ").count(), said.ends_with("; and more lines")),
            (20, is_cut),
            "{said}"
        );
    }
}

#[tokio::test]
async fn an_entry_is_a_line_of_a_users_file() {
    let entry = Users::entry("anna", b"secret").unwrap();
    assert!(entry.starts_with("anna:$argon2id$v=19$m=19456,t=2,p=1$"), "{entry}");
    assert_ne!(entry, Users::entry("anna", b"secret").unwrap(), "salted");
    let users = Users::parse(&entry).unwrap();
    assert_eq!(users.len(), 1);
    assert!(users.check(CLIENT, b"anna", b"secret").await);
    assert!(matches!(Users::entry("a:b", b"x"), Err(EntryError::Name(_))));
    assert!(matches!(Users::entry("a", b""), Err(EntryError::PasswordLength)));
    assert!(matches!(Users::entry("a", &[b'x'; 256]), Err(EntryError::PasswordLength)));
}
