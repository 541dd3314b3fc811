//! Unix sockets: made with their permissions, taken over from the dead, left to the living.
#![cfg(unix)]

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use i2p_name::{I2pName, Target, VirtualOptions};
use i2p_tunnel::{
    AddressPool, BindCause, BoundAddress, Client, ClientAddress, ClientCredentials, ClientProtocol, Dial,
    Failure, Isolate, IsolationKey, ListenAt, Listeners, NoDatagrams, NoListening, Opened, Service,
    SessionPolicy, SocketFile, serve,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

use crate::common::socks5_request;

struct Directory(tempfile::TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn socket(&self) -> PathBuf {
        self.0.path().join("socks")
    }

    /// Nothing is left but what is named.
    fn holds(&self, names: &[&str]) {
        let mut found: Vec<_> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        found.sort();
        assert_eq!(found, names);
    }
}

fn at(path: &Path) -> [ListenAt; 1] {
    [format!("unix:{}", path.display()).parse().unwrap()]
}

/// Notes who asks.
struct Who(Arc<Mutex<Vec<IsolationKey>>>);

impl Dial for Who {
    type Datagrams = NoDatagrams;
    type Listening = NoListening;

    async fn dial(&self, key: &IsolationKey, _: &I2pName, _: u16) -> Result<Opened, Failure> {
        self.0.lock().unwrap().push(key.clone());
        Err(Failure::Unreachable)
    }

    async fn lookup(&self, _: &IsolationKey, _: &I2pName) -> Result<(), Failure> {
        Err(Failure::Unreachable)
    }
}

#[tokio::test]
async fn clients_are_served_and_known_by_their_user_and_the_file_goes_at_the_end() {
    let directory = Directory::new();
    let path = directory.socket();
    let listeners = Listeners::bind(&at(&path)).await.unwrap();
    let text = path.display().to_string();
    assert_eq!(listeners.addresses().unwrap(), [BoundAddress::Unix(text.clone())]);
    let metadata = fs::symlink_metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "for us alone");
    directory.holds(&["socks"]);
    let seen: Arc<Mutex<Vec<IsolationKey>>> = Arc::default();
    let isolate = Isolate { client: true, listener: true, ..Isolate::NONE };
    let sessions = SessionPolicy { isolate, ..SessionPolicy::default() };
    let addresses = AddressPool::new(VirtualOptions::default()).unwrap();
    let service = Service::new("test", Who(Arc::clone(&seen)), addresses).with_sessions(sessions.clone());
    let (_, service) = watch::channel(Arc::new(service));
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(listeners, service, stop.clone()));
    let mut client = UnixStream::connect(&path).await.unwrap();
    client.write_all(&socks5_request("a.i2p", 80)).await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer[..4], [5, 0, 5, 4]);
    let expected = Client {
        // Who made the file is who connects.
        address: ClientAddress::User(metadata.uid()),
        listener: format!("unix:{text}").into(),
        protocol: ClientProtocol::Socks5,
        credentials: ClientCredentials::None,
    };
    let target = Target::parse(b"a.i2p").unwrap();
    assert!(*seen.lock().unwrap() == [sessions.key(&expected, &target, 80)]);
    stop.cancel();
    serving.await.unwrap();
    directory.holds(&[]);
}

#[tokio::test]
async fn mode_and_group_are_as_told() {
    let directory = Directory::new();
    let ours = fs::metadata(directory.0.path()).unwrap().gid();
    // As root any group will do; as somebody else only one of one's own.
    let group = if rustix::process::geteuid().is_root() { 65_533 } else { ours };
    let file = SocketFile { path: directory.socket(), mode: 0o660, group: Some(group) };
    let _listeners = Listeners::bind(&[ListenAt::Unix(file)]).await.unwrap();
    let metadata = fs::symlink_metadata(directory.socket()).unwrap();
    assert_eq!((metadata.permissions().mode() & 0o777, metadata.gid()), (0o660, group));
}

#[tokio::test]
async fn mode_and_group_change_while_it_is_served_and_stay_after_an_error() {
    let directory = Directory::new();
    let ours = fs::metadata(directory.0.path()).unwrap().gid();
    let group = if rustix::process::geteuid().is_root() { 65_533 } else { ours };
    let file = |mode, group| ListenAt::Unix(SocketFile { path: directory.socket(), mode, group });
    let now = || {
        let metadata = fs::symlink_metadata(directory.socket()).unwrap();
        (metadata.permissions().mode() & 0o777, metadata.gid())
    };
    let listeners = Listeners::bind(&[file(0o600, None)]).await.unwrap();
    let own = now().1;
    let permissions = listeners.permissions();
    permissions.change(&file(0o660, Some(group))).unwrap();
    assert_eq!(now(), (0o660, group));
    permissions.change(&file(0o606, None)).unwrap();
    assert_eq!(now(), (0o606, own), "without a group it is ours again");
    assert!(file(0o600, None).is_same_place(&file(0o660, Some(group))));
    fs::remove_file(directory.socket()).unwrap();
    assert!(permissions.change(&file(0o600, None)).is_err());
    let _theirs = UnixListener::bind(directory.socket()).unwrap();
    let theirs = now();
    assert!(permissions.change(&file(0o611, None)).is_err());
    assert_eq!(now(), theirs, "what is not ours stays as it is");
}

/// Not even for as long as making it takes.
#[tokio::test(flavor = "multi_thread")]
async fn at_no_moment_anybody_can_connect_who_may_not() {
    let directory = Directory::new();
    let watched = directory.0.path().to_owned();
    let stop = CancellationToken::new();
    let watching = tokio::task::spawn_blocking({
        let stop = stop.clone();
        move || {
            let mut found = Vec::new();
            while !stop.is_cancelled() {
                // What goes away in between was not there for anybody.
                let entries = fs::read_dir(&watched).unwrap().map_while(Result::ok);
                let modes = entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?.mode())));
                found.extend(modes.filter(|(_, mode)| mode & 0o077 != 0));
            }
            found
        }
    });
    // For all threads of this process; no other test depends on a stricter one.
    let before = rustix::process::umask(rustix::fs::Mode::empty());
    for _ in 0..300 {
        drop(Listeners::bind(&at(&directory.socket())).await.unwrap());
    }
    rustix::process::umask(before);
    stop.cancel();
    assert_eq!(watching.await.unwrap(), []);
}

#[tokio::test]
async fn the_socket_of_a_dead_process_is_replaced() {
    let directory = Directory::new();
    // Closed, and not removed: what is left of a process that was killed.
    drop(std::os::unix::net::UnixListener::bind(directory.socket()).unwrap());
    directory.holds(&["socks"]);
    let _listeners = Listeners::bind(&at(&directory.socket())).await.unwrap();
    UnixStream::connect(directory.socket()).await.unwrap();
}

#[tokio::test]
async fn the_socket_of_a_living_process_stays_as_it_is() {
    let directory = Directory::new();
    let living = UnixListener::bind(directory.socket()).unwrap();
    let error = Listeners::bind(&at(&directory.socket())).await.unwrap_err();
    assert!(matches!(error.cause, BindCause::InUse), "{error}");
    directory.holds(&["socks"]);
    UnixStream::connect(directory.socket()).await.unwrap();
    drop(living);
}

#[tokio::test]
async fn what_is_no_socket_stays_as_it_is() {
    let directory = Directory::new();
    fs::write(directory.socket(), "precious").unwrap();
    let error = Listeners::bind(&at(&directory.socket())).await.unwrap_err();
    assert!(matches!(error.cause, BindCause::NotASocket), "{error}");
    assert_eq!(fs::read_to_string(directory.socket()).unwrap(), "precious");
    fs::remove_file(directory.socket()).unwrap();
    std::os::unix::fs::symlink(directory.0.path().join("elsewhere"), directory.socket()).unwrap();
    let error = Listeners::bind(&at(&directory.socket())).await.unwrap_err();
    assert!(matches!(error.cause, BindCause::NotASocket), "a link is none: {error}");
}

#[tokio::test]
async fn the_socket_of_whoever_came_after_us_stays() {
    let directory = Directory::new();
    let ours = Listeners::bind(&at(&directory.socket())).await.unwrap();
    fs::remove_file(directory.socket()).unwrap();
    let _theirs = UnixListener::bind(directory.socket()).unwrap();
    drop(ours);
    directory.holds(&["socks"]);
}

#[tokio::test]
async fn where_one_cannot_be_none_is_left_behind() {
    let directory = Directory::new();
    let none = directory.0.path().join("no directory/socks");
    let error = Listeners::bind(&at(&none)).await.unwrap_err();
    assert!(
        matches!(&error.cause, BindCause::System(error) if error.kind() == std::io::ErrorKind::NotFound),
        "{error}"
    );
    let long = directory.0.path().join("x".repeat(150));
    fs::create_dir(&long).unwrap();
    assert!(Listeners::bind(&at(&long.join("socks"))).await.is_err());
    assert!(Listeners::bind(&["fd:nobody".parse().unwrap()]).await.is_err());
}
