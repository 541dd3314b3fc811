//! Users of a tunnel, and their passwords.

mod verifier;

use std::{
    collections::HashMap,
    fmt, fs, io,
    io::Read,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher,
    password_hash::{self, phc::PasswordHash},
};
use sha2::{Digest, Sha256};
use tokio::{sync::OnceCell, time::sleep};

use self::verifier::Verifier;
use super::{admission::machine, identity::ClientAddress};

/// Largest users file, in bytes.
const MAX_FILE: u64 = 1024 * 1024;
/// Longest name and longest password, in bytes: what SOCKS5 has room for (RFC 1929 section 2).
const MAX_FIELD: usize = 255;
/// Most memory that checking one password may take, in KiB, and most passes over it.
const MAX_COST: (u32, u32) = (256 * 1024, 16);
/// Different names and passwords of one client that wait for their check, or for the answer that they are wrong. More than so many
/// are not checked: whoever guesses keeps no others waiting, and gets so many guesses a second.
const OF_ONE_CLIENT: usize = 16;
/// How long whoever was wrong waits for the answer.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// The users of a tunnel. Clones are the same users.
#[derive(Clone)]
pub struct Users(Arc<Inner>);

struct Inner {
    /// argon2id, as [`Users::entry`] makes it.
    hashes: HashMap<Vec<u8>, PasswordHash>,
    /// What the password of somebody who is no user is checked against, so that the time says nothing of who is one.
    nobody: Option<PasswordHash>,
    /// What passwords were right, by user: so that argon2 is not run for each connection.
    verified: Mutex<HashMap<Vec<u8>, [u8; 32]>>,
    /// Known to this process only, so that what is kept of passwords is worth nothing elsewhere.
    key: [u8; 32],
    verifier: Verifier,
    /// What is being checked.
    checks: Mutex<HashMap<ClientAddress, Vec<Check>>>,
}

/// The check of one name and password, by their digest. Connections that have the same share its result.
type Check = ([u8; 32], Arc<OnceCell<bool>>);

/// A part in a check, for as long as this exists.
struct Part<'a> {
    checks: &'a Mutex<HashMap<ClientAddress, Vec<Check>>>,
    client: ClientAddress,
    result: Arc<OnceCell<bool>>,
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        let mut checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(own) = checks.get_mut(&self.client) else { return };
        // Parts come and go under the lock: what is left alone is the list's own.
        drop(std::mem::take(&mut self.result));
        own.retain(|(_, result)| Arc::strong_count(result) > 1);
        if own.is_empty() {
            checks.remove(&self.client);
        }
        if checks.is_empty() {
            checks.shrink_to_fit();
        }
    }
}

/// Why a users file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UsersError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It is larger than 1 MiB.
    #[error("it is larger than 1 MiB")]
    TooLarge,
    /// A line is malformed.
    #[error("line {line}: {what}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong. Says nothing of what stands there.
        what: &'static str,
    },
}

impl Users {
    /// Reads a file of lines `name:$argon2id$...`. Empty lines and those that begin with `#` mean nothing.
    ///
    /// # Errors
    /// [`UsersError`].
    pub fn load(path: &Path) -> Result<Self, UsersError> {
        let mut text = String::new();
        fs::File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
        if text.len() as u64 > MAX_FILE { Err(UsersError::TooLarge) } else { Self::parse(&text) }
    }

    /// The same from text.
    ///
    /// # Errors
    /// [`UsersError::Line`]; [`UsersError::Read`] when there are no random numbers.
    pub fn parse(text: &str) -> Result<Self, UsersError> {
        let mut hashes = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let at = |what| UsersError::Line { line: index + 1, what };
            let (name, hash) = parse_line(line).map_err(at)?;
            if hashes.insert(name.as_bytes().to_vec(), hash).is_some() {
                return Err(at("this name was there before"));
            }
        }
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        // As costly as the users' own.
        let params = hashes.values().next().and_then(|hash| Params::try_from(hash).ok()).unwrap_or_default();
        let argon2 = Argon2::from(params);
        let nobody = argon2.hash_password_with_salt(&key, key.get(..16).unwrap_or_default()).ok();
        Ok(Self(Arc::new(Inner {
            hashes,
            nobody,
            verified: Mutex::default(),
            key,
            verifier: Verifier::new(),
            checks: Mutex::default(),
        })))
    }

    /// These, in the place of others: whoever has come in before need not be checked again, unless the password is another one.
    #[must_use]
    pub fn with_verified_from(self, before: &Self) -> Self {
        let known = before.verified().clone();
        let same = |name: &[u8]| self.0.hashes.get(name) == before.0.hashes.get(name);
        let kept: HashMap<_, _> = known.into_iter().filter(|(name, _)| same(name)).collect();
        match Arc::try_unwrap(self.0) {
            Ok(inner) => Self(Arc::new(Inner {
                key: before.0.key,
                verifier: before.0.verifier.clone(),
                verified: Mutex::new(kept),
                ..inner
            })),
            // In use already, which they are not to be: then everybody is checked again.
            Err(shared) => Self(shared),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.hashes.len()
    }

    /// Whether there is none, and so nobody can come in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A line for a users file. Takes a few hundredths of a second and 19 MiB for as long.
    ///
    /// # Errors
    /// [`EntryError`].
    pub fn entry(name: &str, password: &[u8]) -> Result<String, EntryError> {
        check_name(name).map_err(EntryError::Name)?;
        if !(1..=MAX_FIELD).contains(&password.len()) {
            return Err(EntryError::PasswordLength);
        }
        let hash: PasswordHash = Argon2::default().hash_password(password)?;
        Ok(format!("{name}:{hash}"))
    }

    /// Whether this is a user's password. Whoever is wrong has to wait for a second; whoever tries too many at once hears
    /// that they are wrong without a check.
    pub(crate) async fn check(&self, client: ClientAddress, name: &[u8], password: &[u8]) -> bool {
        let digest = self.digest(name, password);
        if self.is_verified(name, &digest) {
            return true;
        }
        let Some(part) = self.take_part(machine(client), digest) else { return false };
        let right = *part.result.get_or_init(|| self.verify(name, password)).await;
        if right {
            self.verified().insert(name.to_vec(), digest);
        } else {
            sleep(AFTER_FAILURE).await;
        }
        right
    }

    /// A check of this client's, unless it has too many others.
    fn take_part(&self, client: ClientAddress, digest: [u8; 32]) -> Option<Part<'_>> {
        let mut checks = self.0.checks.lock().unwrap_or_else(PoisonError::into_inner);
        let own = checks.entry(client).or_default();
        let result = match own.iter().find(|(of, _)| *of == digest) {
            Some((_, result)) => Arc::clone(result),
            None if own.len() >= OF_ONE_CLIENT => return None,
            None => {
                let result = Arc::<OnceCell<bool>>::default();
                own.push((digest, Arc::clone(&result)));
                result
            }
        };
        Some(Part { checks: &self.0.checks, client, result })
    }

    async fn verify(&self, name: &[u8], password: &[u8]) -> bool {
        let Some(turn) = self.0.verifier.turn().await else { return false };
        // Another connection of the same user may have been first.
        if self.is_verified(name, &self.digest(name, password)) {
            return true;
        }
        let known = self.0.hashes.get(name);
        let Some(hash) = known.or(self.0.nobody.as_ref()).cloned() else { return false };
        turn.verify(hash, password.to_vec()).await && known.is_some()
    }

    fn is_verified(&self, name: &[u8], digest: &[u8; 32]) -> bool {
        // Nobody can choose a digest without the key: how long comparing takes says nothing.
        self.verified().get(name) == Some(digest)
    }

    fn verified(&self) -> MutexGuard<'_, HashMap<Vec<u8>, [u8; 32]>> {
        self.0.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn digest(&self, name: &[u8], password: &[u8]) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.0.key);
        digest.update((name.len() as u64).to_be_bytes());
        digest.update(name);
        digest.update(password);
        digest.finalize().into()
    }
}

/// Without who they are.
impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Users({})", self.len())
    }
}

/// Why there is no entry for a user.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// The name cannot be one.
    #[error("{0}")]
    Name(&'static str),
    /// The password is empty or too long.
    #[error("a password has 1 to {MAX_FIELD} bytes: SOCKS has no room for more")]
    PasswordLength,
    /// argon2 failed, for want of memory or random numbers.
    #[error("the password could not be hashed: {0}")]
    Hash(#[from] password_hash::Error),
}

fn parse_line(line: &str) -> Result<(&str, PasswordHash), &'static str> {
    let (name, hash) =
        line.split_once(':').ok_or("expected name:$argon2id$..., as i2p-socks passwd makes it")?;
    check_name(name)?;
    let hash =
        PasswordHash::new(hash).map_err(|_| "expected a hash that begins with $argon2id$ behind the name")?;
    if Algorithm::try_from(hash.algorithm.as_str()) != Ok(Algorithm::Argon2id) || hash.salt.is_none() {
        return Err("expected a hash that begins with $argon2id$ behind the name");
    }
    let params = Params::try_from(&hash).map_err(|_| "the parameters of the hash are invalid")?;
    match hash.hash {
        Some(_) if params.m_cost() <= MAX_COST.0 && params.t_cost() <= MAX_COST.1 => Ok((name, hash)),
        Some(_) => Err("the hash is too costly: at most m=262144 (256 MiB) and t=16"),
        None => Err("the hash itself is missing"),
    }
}

fn check_name(name: &str) -> Result<(), &'static str> {
    if !(1..=MAX_FIELD).contains(&name.len()) {
        return Err("a user's name has 1 to 255 bytes: SOCKS has no room for more");
    }
    if name.contains(':') || name.chars().any(char::is_control) || name.starts_with('#') {
        return Err("a user's name has no colon and no control character, and does not begin with #");
    }
    // What follows would say what to isolate by, not who it is.
    if name.starts_with("<torS0X>") {
        return Err("<torS0X> begins no user's name: Tor's programs give it a meaning");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: ClientAddress = ClientAddress::User(1);
    const OTHER: ClientAddress = ClientAddress::User(2);

    /// Cheap, so that tests are quick.
    fn line(name: &str, password: &str) -> String {
        let params = Params::new(Params::MIN_M_COST, 1, 1, None).unwrap();
        let hash =
            Argon2::from(params).hash_password_with_salt(password.as_bytes(), b"salt of a test").unwrap();
        format!("{name}:{hash}")
    }

    fn users() -> Users {
        Users::parse(&format!("# friends\n\n{}\n{}\n", line("anna", "secret"), line("b", "x:y"))).unwrap()
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
            // And again, from memory.
            assert_eq!(
                users.check(CLIENT, name.as_bytes(), password.as_bytes()).await,
                right,
                "{name} {password}"
            );
        }
    }

    #[tokio::test]
    async fn checks_work_in_the_memory_of_those_before_them() {
        let users = users();
        let guesses = (0..8).map(|guess| {
            let users = users.clone();
            tokio::spawn(async move { users.check(CLIENT, b"anna", format!("{guess}").as_bytes()).await })
        });
        for guess in guesses.collect::<Vec<_>>() {
            assert!(!guess.await.unwrap());
        }
        let memory = users.0.verifier.memory();
        assert!((1..=verifier::AT_ONCE).contains(&memory.len()), "{}", memory.len());
        assert!(memory.iter().all(|blocks| !blocks.is_empty()));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_wrong_waits_and_whoever_was_right_does_not() {
        let users = users();
        let begin = tokio::time::Instant::now();
        assert!(!users.check(CLIENT, b"anna", b"wrong").await);
        assert!(begin.elapsed() >= AFTER_FAILURE);
        assert!(users.check(CLIENT, b"anna", b"secret").await);
        // Nothing is free to check with: it is remembered.
        let _all = users.0.verifier.at_once.acquire_many(2).await.unwrap();
        assert!(users.check(CLIENT, b"anna", b"secret").await);
        let wait = Duration::from_secs(5);
        assert!(
            tokio::time::timeout(wait, users.check(CLIENT, b"anna", b"other")).await.is_err(),
            "and only that"
        );
    }

    /// One that guesses; others, and itself once it has stopped, are checked as ever.
    #[tokio::test(start_paused = true)]
    async fn whoever_tries_many_passwords_at_once_holds_nobody_up() {
        let users = users();
        let mut guesses = tokio::task::JoinSet::new();
        let all = users.0.verifier.at_once.acquire_many(2).await.unwrap();
        let begin = tokio::time::Instant::now();
        for guess in 0..1_500 {
            let users = users.clone();
            guesses.spawn(async move { users.check(CLIENT, b"anna", format!("{guess}").as_bytes()).await });
        }
        for _ in 0..1_500 - OF_ONE_CLIENT {
            let guess = tokio::time::timeout(AFTER_FAILURE * 9, guesses.join_next()).await.unwrap();
            assert!(!guess.unwrap().unwrap());
        }
        assert_eq!(begin.elapsed(), Duration::ZERO, "they were not checked");
        drop(all);
        assert!(users.check(OTHER, b"anna", b"secret").await);
        assert!(begin.elapsed() < AFTER_FAILURE);
        while let Some(guess) = guesses.join_next().await {
            assert!(!guess.unwrap());
        }
        assert!(users.check(CLIENT, b"b", b"x:y").await);
        assert_eq!(users.0.checks.lock().unwrap().capacity(), 0, "nothing is remembered of whoever has gone");
    }

    /// A program that opens all its connections at once is no guesser.
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
                std::iter::repeat_with(check).take(OF_ONE_CLIENT * 4).collect();
            assert_eq!(checks.join_all().await, [right; OF_ONE_CLIENT * 4]);
        }
        assert!(begin.elapsed() < AFTER_FAILURE * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reload_forgets_only_whose_password_has_changed() {
        let (anna, b) = (line("anna", "secret"), line("b", "x:y"));
        let before = Users::parse(&format!("{anna}\n{b}")).unwrap();
        assert!(before.check(CLIENT, b"anna", b"secret").await);
        assert!(before.check(CLIENT, b"b", b"x:y").await);
        let users =
            Users::parse(&format!("{anna}\n{}", line("b", "other"))).unwrap().with_verified_from(&before);
        // Nothing is free to check with.
        let all = users.0.verifier.at_once.acquire_many(2).await.unwrap();
        let kept = users.check(CLIENT, b"anna", b"secret");
        assert_eq!(tokio::time::timeout(AFTER_FAILURE, kept).await, Ok(true));
        let changed = users.check(CLIENT, b"b", b"x:y");
        assert!(tokio::time::timeout(AFTER_FAILURE, changed).await.is_err(), "it has to be checked");
        drop(all);
        assert!(!users.check(CLIENT, b"b", b"x:y").await);
        assert!(users.check(CLIENT, b"b", b"other").await);
        let gone = Users::parse(&b).unwrap().with_verified_from(&users);
        assert!(!gone.check(CLIENT, b"anna", b"secret").await);
    }

    #[test]
    fn malformed_lines_are_named_and_not_shown() {
        let long = format!("{}:x", "n".repeat(256));
        for (text, line, says) in [
            ("anna", 1, "expected name:$argon2id$"),
            ("\n#\nanna:secret", 3, "begins with $argon2id$"),
            (
                "anna:$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$MDEyMzQ1Njc4OWFiY2RlZg",
                1,
                "begins with $argon2id$",
            ),
            ("anna:$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ", 1, "is missing"),
            ("anna:$argon2id$v=19$m=8,t=17,p=1$c2FsdHNhbHQ$MDEyMzQ1Njc4OWFiY2RlZg", 1, "too costly"),
            ("anna:$argon2id$v=19$m=262145,t=1,p=1$c2FsdHNhbHQ$MDEyMzQ1Njc4OWFiY2RlZg", 1, "too costly"),
            (":$argon2id$", 1, "1 to 255 bytes"),
            (long.as_str(), 1, "1 to 255 bytes"),
            ("<torS0X>0:x", 1, "Tor's programs"),
            ("a\tb:x", 1, "no control character"),
        ] {
            let error = Users::parse(text).unwrap_err();
            assert!(
                matches!(error, UsersError::Line { line: at, what } if at == line && what.contains(says)),
                "{text}: {error}"
            );
            assert!(!error.to_string().contains("secret"));
        }
        let twice = format!("{0}\n{0}", line("anna", "secret"));
        assert!(Users::parse(&twice).unwrap_err().to_string().contains("line 2: this name was there before"));
    }

    #[tokio::test]
    async fn an_entry_is_a_line_of_a_file() {
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
}
