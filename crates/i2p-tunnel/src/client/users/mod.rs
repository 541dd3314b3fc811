//! The users of a tunnel and their passwords.

#[cfg(test)]
mod tests;
mod turns;
mod verifier;

use std::{
    collections::HashMap,
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher,
    password_hash::{self, phc::PasswordHash},
};
use sha2::{Digest, Sha256};
use tokio::{sync::OnceCell, time::sleep};
use zeroize::Zeroizing;

use self::verifier::Verifier;
use super::identity::{ClientAddress, ClientOrigin};

/// Longest user name and longest password: what fits into SOCKS5 (RFC 1929 section 2).
const MAX_FIELD_BYTES: usize = 255;
/// Most memory that a hash may need.
const MAX_HASH_MEMORY_KIB: u32 = 256 * 1024;
/// Most passes over the memory that a hash may need.
const MAX_HASH_PASSES: u32 = 16;
/// Pairs of name and password that one client may have under check at one time, the delay after a failure included. Others are
/// refused unchecked, so that a client that guesses neither delays other clients nor tries more than this per second.
const MAX_CHECKS_PER_CLIENT: usize = 16;
/// How many malformed lines of a users file are reported.
const MAX_REPORTED_LINES: usize = 20;
/// Delay before a client learns that its password is wrong.
const FAILURE_DELAY: Duration = Duration::from_secs(1);

/// What is known of a client's credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// They are accepted.
    Right,
    /// They are refused.
    Wrong,
    /// They are refused without a check, because the client has too many others under check.
    Unchecked,
}

/// The users of a tunnel. Clones share their state.
#[derive(Clone)]
pub struct Users(Arc<Inner>);

struct Inner {
    /// The users by name.
    known: HashMap<Vec<u8>, KnownUser>,
    /// Digests of verified passwords by user name, so that argon2 does not run for each connection.
    verified: Mutex<HashMap<Vec<u8>, [u8; 32]>>,
    /// Key of the digests. It never leaves this process, so that the digests are worthless elsewhere.
    key: [u8; 32],
    verifier: Verifier,
    /// The checks under way, by client.
    checks: Mutex<HashMap<ClientOrigin, Vec<Check>>>,
}

/// A line of a users file.
#[derive(Clone, PartialEq)]
struct KnownUser {
    /// An argon2id hash, as [`Users::entry`] makes it.
    hash: PasswordHash,
    /// A digest of the hash, which only the owner of the file can know.
    secret: [u8; 32],
}

impl KnownUser {
    fn new(hash: PasswordHash) -> Self {
        let secret = Sha256::digest(hash.to_string()).into();
        Self { hash, secret }
    }

    /// A number that nobody else can predict, always the same for a name.
    fn weight_for(&self, name: &[u8]) -> [u8; 32] {
        Sha256::new_with_prefix(self.secret).chain_update(name).finalize().into()
    }
}

/// A check of one name and password, by their digest. Connections of a client with the same pair share its result.
type Check = ([u8; 32], Arc<OnceCell<bool>>);

/// Participation in a check until this is dropped. The last participant removes the check.
struct CheckShare<'a> {
    checks: &'a Mutex<HashMap<ClientOrigin, Vec<Check>>>,
    client: ClientOrigin,
    result: Arc<OnceCell<bool>>,
}

impl Drop for CheckShare<'_> {
    fn drop(&mut self) {
        let mut checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(own) = checks.get_mut(&self.client) else { return };
        // Shares are taken and dropped under the lock: a result with one owner is only in the list.
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
    /// The operating system provides no random numbers.
    #[error(transparent)]
    Random(#[from] io::Error),
    /// Lines are malformed. Lines after the first of them may be left out.
    #[error("{}", in_words(.0))]
    Lines(Vec<MalformedLine>),
}

/// A malformed line of a users file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MalformedLine {
    /// Its number, from 1.
    pub number: usize,
    /// What is wrong with it. The text never quotes the line.
    pub mistake: &'static str,
}

impl fmt::Display for MalformedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.number, self.mistake)
    }
}

/// The first malformed lines, and that there are more.
fn in_words(lines: &[MalformedLine]) -> String {
    let shown: Vec<_> = lines.iter().take(MAX_REPORTED_LINES).map(MalformedLine::to_string).collect();
    shown.join("; ") + if lines.len() > MAX_REPORTED_LINES { "; and more lines" } else { "" }
}

impl Users {
    /// Reads the text of a users file: lines `name:$argon2id$...`. Empty lines and lines that begin with `#` are ignored.
    ///
    /// # Errors
    /// [`UsersError::Lines`] for malformed lines, [`UsersError::Random`] if the operating system provides no random numbers.
    pub fn parse(text: &str) -> Result<Self, UsersError> {
        let (mut known, mut malformed) = (HashMap::new(), Vec::new());
        for (index, line) in text.lines().enumerate() {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mistake = match parse_line(line) {
                Ok((name, hash)) => known
                    .insert(name.as_bytes().to_vec(), KnownUser::new(hash))
                    .map(|_| "an earlier line has the same name"),
                Err(mistake) => Some(mistake),
            };
            malformed.extend(mistake.map(|mistake| MalformedLine { number: index + 1, mistake }));
            if malformed.len() > MAX_REPORTED_LINES {
                break;
            }
        }
        if !malformed.is_empty() {
            return Err(UsersError::Lines(malformed));
        }
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        Ok(Self(Arc::new(Inner {
            known,
            verified: Mutex::default(),
            key,
            verifier: Verifier::new(),
            checks: Mutex::default(),
        })))
    }

    /// Takes over from `before`, the users that these replace, which passwords have been verified. Users whose hash has
    /// changed are verified again.
    #[must_use]
    pub fn with_verified_from(self, before: &Self) -> Self {
        let known = before.verified().clone();
        let same = |name: &[u8]| self.0.known.get(name) == before.0.known.get(name);
        let kept: HashMap<_, _> = known.into_iter().filter(|(name, _)| same(name)).collect();
        match Arc::try_unwrap(self.0) {
            Ok(inner) => Self(Arc::new(Inner {
                key: before.0.key,
                verifier: before.0.verifier.clone(),
                verified: Mutex::new(kept),
                ..inner
            })),
            // Clones exist already, against the intended use: every password is verified again.
            Err(shared) => Self(shared),
        }
    }

    /// The number of users.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.known.len()
    }

    /// Whether there are no users. Then no client is allowed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes a line of a users file. Hashing takes a few hundredths of a second and 19 MiB of memory meanwhile.
    ///
    /// # Errors
    /// [`EntryError`] for a name or password that is not allowed, or if argon2 fails.
    pub fn entry(name: &str, password: &[u8]) -> Result<String, EntryError> {
        check_name(name).map_err(EntryError::Name)?;
        if !(1..=MAX_FIELD_BYTES).contains(&password.len()) {
            return Err(EntryError::PasswordLength);
        }
        let hash: PasswordHash = Argon2::default().hash_password(password)?;
        Ok(format!("{name}:{hash}"))
    }

    /// Checks a user's password. A wrong password is reported after [`FAILURE_DELAY`]; a client with
    /// [`MAX_CHECKS_PER_CLIENT`] checks under way is refused at once, without a check.
    pub(crate) async fn verdict(&self, client: ClientAddress, name: &[u8], password: &[u8]) -> Verdict {
        let digest = self.digest(name, password);
        if self.is_verified(name, &digest) {
            return Verdict::Right;
        }
        let client = client.into();
        let Some(share) = self.share_check(client, digest) else { return Verdict::Unchecked };
        if *share.result.get_or_init(|| self.verify(client, name, password)).await {
            self.verified().insert(name.to_vec(), digest);
            return Verdict::Right;
        }
        sleep(FAILURE_DELAY).await;
        Verdict::Wrong
    }

    /// Joins the client's check of this digest, or begins one. Returns `None` if the client has too many others.
    fn share_check(&self, client: ClientOrigin, digest: [u8; 32]) -> Option<CheckShare<'_>> {
        let mut checks = self.0.checks.lock().unwrap_or_else(PoisonError::into_inner);
        let own = checks.entry(client).or_default();
        let result = match own.iter().find(|(of, _)| *of == digest) {
            Some((_, result)) => Arc::clone(result),
            None if own.len() >= MAX_CHECKS_PER_CLIENT => return None,
            None => {
                let result = Arc::<OnceCell<bool>>::default();
                own.push((digest, Arc::clone(&result)));
                result
            }
        };
        Some(CheckShare { checks: &self.0.checks, client, result })
    }

    async fn verify(&self, client: ClientOrigin, name: &[u8], password: &[u8]) -> bool {
        let Some(turn) = self.0.verifier.turn(client).await else { return false };
        // Another connection of the same user may have been verified meanwhile.
        if self.is_verified(name, &self.digest(name, password)) {
            return true;
        }
        let Some((hash, is_known)) = self.hash_to_compute(name) else { return false };
        turn.verify(hash.clone(), Zeroizing::new(password.to_vec())).await && is_known
    }

    /// The hash that a password for this name is checked against, and whether the name is that of a user. `None` if there are no
    /// users.
    ///
    /// A name that nobody has is checked against the hash of one of the users, always the same one. So the time that a check
    /// takes does not reveal which names users have, even if their hashes differ in cost: names that nobody has take each of
    /// these times as often as users do, in this process and the next. Another user in the file changes that for few names.
    fn hash_to_compute(&self, name: &[u8]) -> Option<(&PasswordHash, bool)> {
        // Chosen for every name, since the choice takes time as well.
        let stand_in = self.0.known.values().max_by_key(|user| user.weight_for(name))?;
        Some(self.0.known.get(name).map_or((&stand_in.hash, false), |user| (&user.hash, true)))
    }

    fn is_verified(&self, name: &[u8], digest: &[u8; 32]) -> bool {
        // Clients cannot choose digests without the key, so the time that the comparison takes reveals nothing.
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

/// Shows how many users there are, not who they are.
impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Users({})", self.len())
    }
}

/// Why [`Users::entry`] made no line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// The name is not allowed.
    #[error("{0}")]
    Name(&'static str),
    /// The password is empty or too long.
    #[error("a password has 1 to {MAX_FIELD_BYTES} bytes: SOCKS has no room for more")]
    PasswordLength,
    /// argon2 failed: too little memory, or no random numbers.
    #[error("the password could not be hashed: {0}")]
    Hash(#[from] password_hash::Error),
}

fn parse_line(line: &str) -> Result<(&str, PasswordHash), &'static str> {
    let (name, hash) =
        line.split_once(':').ok_or("expected name:$argon2id$..., as `i2p-socks passwd` prints it")?;
    check_name(name)?;
    let hash =
        PasswordHash::new(hash).map_err(|_| match (hash.starts_with("$argon2id$"), hash.contains(':')) {
            (true, true) => "another name and hash follow on the same line: each entry has a line of its own",
            (true, false) => "the hash is damaged: make a new one with `i2p-socks passwd`",
            (false, _) => "expected a hash that begins with $argon2id$ after the name",
        })?;
    if Algorithm::try_from(hash.algorithm.as_str()) != Ok(Algorithm::Argon2id) || hash.salt.is_none() {
        return Err("expected a hash that begins with $argon2id$ after the name");
    }
    let params = Params::try_from(&hash).map_err(|_| "the parameters of the hash are invalid")?;
    match hash.hash {
        Some(_) if params.m_cost() <= MAX_HASH_MEMORY_KIB && params.t_cost() <= MAX_HASH_PASSES => {
            Ok((name, hash))
        }
        Some(_) => Err("the hash is too costly: at most m=262144 (256 MiB) and t=16"),
        None => Err("the hash itself is missing"),
    }
}

fn check_name(name: &str) -> Result<(), &'static str> {
    if !(1..=MAX_FIELD_BYTES).contains(&name.len()) {
        return Err("a user name has 1 to 255 bytes: SOCKS has no room for more");
    }
    if name.contains(':') || name.chars().any(char::is_control) || name.starts_with('#') {
        return Err("a user name has no colon and no control character, and does not begin with #");
    }
    // Tor's extensions take what follows as an isolation parameter, not as a name.
    if name.starts_with("<torS0X>") {
        return Err("a user name does not begin with <torS0X>: Tor's programs give it a meaning");
    }
    Ok(())
}
