//! Unix sockets: created with their permissions; stale ones are replaced, live ones are not.
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
    Failure, Isolate, IsolationKey, ListenAt, Listeners, NoDatagrams, NoListening, OpenStream, Service,
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

    /// Checks that the directory contains exactly these files.
    fn contains(&self, names: &[&str]) {
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

/// A dialler that records the isolation keys of requests and refuses them.
struct RecordsKeys(Arc<Mutex<Vec<IsolationKey>>>);

impl Dial for RecordsKeys {
    type Datagrams = NoDatagrams;
    type Listening = NoListening;

    async fn dial(&self, key: &IsolationKey, _: &I2pName, _: u16) -> Result<OpenStream, Failure> {
        self.0.lock().unwrap().push(key.clone());
        Err(Failure::Unreachable)
    }

    async fn lookup(&self, _: &IsolationKey, _: &I2pName) -> Result<(), Failure> {
        Err(Failure::Unreachable)
    }
}

#[tokio::test]
async fn clients_are_identified_by_their_user_and_the_file_is_removed_at_the_end() {
    let directory = Directory::new();
    let path = directory.socket();
    let listeners = Listeners::bind(&at(&path)).await.unwrap();
    let text = path.display().to_string();
    assert_eq!(listeners.addresses().unwrap(), [BoundAddress::Unix(text.clone())]);
    let metadata = fs::symlink_metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "only for our user");
    directory.contains(&["socks"]);
    let seen: Arc<Mutex<Vec<IsolationKey>>> = Arc::default();
    let isolate = Isolate { client: true, listener: true, ..Isolate::NONE };
    let sessions = SessionPolicy { isolate, ..SessionPolicy::default() };
    let addresses = AddressPool::new(VirtualOptions::default()).unwrap();
    let service =
        Service::new("test", RecordsKeys(Arc::clone(&seen)), addresses).with_sessions(sessions.clone());
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
    directory.contains(&[]);
}

#[tokio::test]
async fn mode_and_group_are_set() {
    let directory = Directory::new();
    let ours = fs::metadata(directory.0.path()).unwrap().gid();
    // Root can use any group, other users only their own.
    let group = if rustix::process::geteuid().is_root() { 65_533 } else { ours };
    let file = SocketFile { path: directory.socket(), mode: 0o660, group: Some(group) };
    let _listeners = Listeners::bind(&[ListenAt::Unix(file)]).await.unwrap();
    let metadata = fs::symlink_metadata(directory.socket()).unwrap();
    assert_eq!((metadata.permissions().mode() & 0o777, metadata.gid()), (0o660, group));
}

#[tokio::test]
async fn mode_and_group_can_be_changed_while_clients_are_served_and_stay_after_an_error() {
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
    assert_eq!(now(), (0o606, own), "without a group it is our own again");
    assert!(file(0o600, None).is_same_place(&file(0o660, Some(group))));
    fs::remove_file(directory.socket()).unwrap();
    assert!(permissions.change(&file(0o600, None)).is_err());
    let _theirs = UnixListener::bind(directory.socket()).unwrap();
    let theirs = now();
    assert!(permissions.change(&file(0o611, None)).is_err());
    assert_eq!(now(), theirs, "another process's socket is not changed");
}

/// Not even while the socket is being created.
#[tokio::test(flavor = "multi_thread")]
async fn other_users_can_never_connect() {
    let directory = Directory::new();
    let watched = directory.0.path().to_owned();
    let stop = CancellationToken::new();
    let watching = tokio::task::spawn_blocking({
        let stop = stop.clone();
        move || {
            let mut found = Vec::new();
            while !stop.is_cancelled() {
                // Nobody can use a file that has disappeared.
                let entries = fs::read_dir(&watched).unwrap().map_while(Result::ok);
                let modes = entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?.mode())));
                found.extend(modes.filter(|(_, mode)| mode & 0o077 != 0));
            }
            found
        }
    });
    // The umask applies to all threads of this process. No other test depends on a stricter one.
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
    // Closed but not removed, as by a process that was killed.
    drop(std::os::unix::net::UnixListener::bind(directory.socket()).unwrap());
    directory.contains(&["socks"]);
    let _listeners = Listeners::bind(&at(&directory.socket())).await.unwrap();
    UnixStream::connect(directory.socket()).await.unwrap();
}

#[tokio::test]
async fn the_socket_of_a_live_process_is_not_replaced() {
    let directory = Directory::new();
    let living = UnixListener::bind(directory.socket()).unwrap();
    let error = Listeners::bind(&at(&directory.socket())).await.unwrap_err();
    assert!(matches!(error.cause, BindCause::InUse), "{error}");
    directory.contains(&["socks"]);
    UnixStream::connect(directory.socket()).await.unwrap();
    drop(living);
}

#[tokio::test]
async fn a_file_that_is_not_a_socket_is_not_replaced() {
    let directory = Directory::new();
    fs::write(directory.socket(), "precious").unwrap();
    let error = Listeners::bind(&at(&directory.socket())).await.unwrap_err();
    assert!(matches!(error.cause, BindCause::NotASocket), "{error}");
    assert_eq!(fs::read_to_string(directory.socket()).unwrap(), "precious");
    fs::remove_file(directory.socket()).unwrap();
    std::os::unix::fs::symlink(directory.0.path().join("elsewhere"), directory.socket()).unwrap();
    let error = Listeners::bind(&at(&directory.socket())).await.unwrap_err();
    assert!(matches!(error.cause, BindCause::NotASocket), "a symbolic link is not a socket: {error}");
}

#[tokio::test]
async fn a_socket_that_replaced_ours_is_not_removed() {
    let directory = Directory::new();
    let ours = Listeners::bind(&at(&directory.socket())).await.unwrap();
    fs::remove_file(directory.socket()).unwrap();
    let _theirs = UnixListener::bind(directory.socket()).unwrap();
    drop(ours);
    directory.contains(&["socks"]);
}

#[tokio::test]
async fn an_impossible_place_is_an_error() {
    let directory = Directory::new();
    let none = directory.0.path().join("no directory/socks");
    let error = Listeners::bind(&at(&none)).await.unwrap_err();
    assert!(!error.to_string().contains("at path"), "no name of a temporary file: {error}");
    assert!(
        matches!(&error.cause, BindCause::System(error) if error.kind() == std::io::ErrorKind::NotFound),
        "{error}"
    );
    let long = directory.0.path().join("x".repeat(150));
    fs::create_dir(&long).unwrap();
    assert!(Listeners::bind(&at(&long.join("socks"))).await.is_err());
    assert!(Listeners::bind(&["fd:nobody".parse().unwrap()]).await.is_err());
}
