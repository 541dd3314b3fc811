//! A program that the proxy takes for an installed i2pd: a script that becomes this test program, which then serves SAM where
//! `i2pd.conf` says.
#![cfg(target_os = "linux")]

use std::{
    env, fs,
    future::pending,
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use sam_testkit::{Dialect, TestBridge};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream, UdpSocket},
    time::{sleep, timeout},
};

use super::processes::has_ended;

/// In the environment: the `i2pd.conf` of the i2pd that is played, and the process that it belongs to.
const CONFIGURATION: &str = "I2P_SOCKS_TEST_I2PD_CONF";
const OWNER: &str = "I2P_SOCKS_TEST_I2PD_OWNER";

/// The test that plays.
const TEST: &str = "i2pd_backend::the_fake_i2pd_answers_where_its_configuration_says";

/// What it writes into its log for each connection, as i2pd does.
pub(crate) const VISITED: &str = "secret-site.i2p";

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fake {
    /// It serves SAM.
    Healthy,
    /// It serves SAM, and takes no notice of SIGTERM.
    Lingers,
    /// It never opens its SAM bridge, and takes no notice of SIGTERM.
    Mute,
    /// It says why, and ends.
    Dies,
    /// Another process takes its port first and serves SAM there.
    Robbed,
}

/// A file beside `i2pd.conf`. Once it is there, a fake i2pd gives its TCP port up, and serves the connections that it has.
pub(crate) const GIVE_UP: &str = "give-up";

/// Writes the program into `directory`. It leaves its environment and its open files there when it is started.
pub(crate) fn install(directory: &Path, fake: Fake) -> PathBuf {
    let test = env::current_exe().unwrap();
    let start = format!("{} --exact {TEST} --nocapture -q", test.display());
    let play = match fake {
        Fake::Healthy => format!("exec {start}"),
        Fake::Lingers => format!("trap '' TERM\nexec {start}"),
        Fake::Mute => "trap '' TERM\nexec /bin/sleep 1000".to_owned(),
        Fake::Dies => "echo '12:00:00@1/error - the disk is full'\nexit 3".to_owned(),
        Fake::Robbed => format!("{start} &\nexec /bin/sleep 1000"),
    };
    let at = directory.display();
    let program = directory.join("i2pd");
    let text = format!(
        "#!/bin/sh\n/usr/bin/env > {at}/environment\n/bin/ls /proc/$$/fd > {at}/descriptors\n\
         for argument; do case $argument in --conf=*) conf=${{argument#--conf=}};; esac; done\n\
         export {CONFIGURATION}=\"$conf\" {OWNER}=$$\n{play}\n"
    );
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

/// Plays i2pd and does not return before its process has ended, if this program was started for that.
pub(crate) async fn play_if_told() -> bool {
    let (Some(configuration), Some(owner)) = (env::var_os(CONFIGURATION), env::var(OWNER).ok()) else {
        return false;
    };
    let owner: u32 = owner.parse().unwrap();
    let serving = serve(Path::new(&configuration));
    tokio::select! {
        result = serving => result.unwrap(),
        () = async { while !has_ended(owner) { sleep(Duration::from_millis(50)).await } } => {}
    }
    true
}

/// Serves SAM on the ports of a configuration.
pub(crate) async fn serve(configuration: &Path) -> io::Result<()> {
    let port = sam_port(configuration);
    let bridge = TestBridge::start_as(Dialect::I2pd245).await;
    let _datagrams = UdpSocket::bind(("127.0.0.1", port - 1)).await?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let told = configuration.with_file_name(GIVE_UP);
    loop {
        let (mut client, _) = match timeout(Duration::from_millis(20), listener.accept()).await {
            Ok(accepted) => accepted?,
            Err(_) if told.exists() => break,
            Err(_) => continue,
        };
        println!("12:00:00@1/warn - Streaming: no lease set of {VISITED}");
        fs::write(configuration.with_file_name("connected"), "")?;
        let mut to = TcpStream::connect(bridge.address()).await?;
        tokio::spawn(async move { copy_bidirectional(&mut client, &mut to).await });
    }
    drop(listener);
    pending().await
}

/// The port in the section for SAM of an `i2pd.conf`.
pub(crate) fn sam_port(configuration: &Path) -> u16 {
    let text = fs::read_to_string(configuration).unwrap();
    let section = text.split("[sam]").nth(1).unwrap().split("\n[").next().unwrap();
    section.lines().find_map(|line| line.strip_prefix("port = ")).unwrap().parse().unwrap()
}
