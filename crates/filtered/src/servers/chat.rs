//! Servers of IRC and XMPP.

use std::{fs, path::Path};

use anyhow::Result;
use lab::{
    server::{START_TIMEOUT, command},
    wait::{Attempt, until},
};
use programs::Program;
use tokio::process::Child;

use super::{directory, start_server};
use crate::services::OFFSET;

/// Where the second server of the same network listens, as if it had a recorder.
pub(crate) const LINKED_IRC: u16 = 6677;

const NGIRCD: Program = ("ngircd", "ngircd");
const INSPIRCD: Program = ("inspircd", "inspircd");
const ATHEME: Program = ("atheme-services", "atheme-services");
const PROSODY: Program = ("prosody", "prosody");

/// What clients of inspircd may ask for (IRCv3), and what connects its accounts.
const INSPIRCD_MODULES: [&str; 14] = [
    "cap",
    "ircv3",
    "ircv3_accounttag",
    "ircv3_batch",
    "ircv3_capnotify",
    "ircv3_ctctags",
    "ircv3_echomessage",
    "ircv3_invitenotify",
    "ircv3_labeledresponse",
    "ircv3_msgid",
    "ircv3_servertime",
    "services_account",
    "sasl",
    "spanningtree",
];
const ATHEME_MODULES: [&str; 7] = [
    "protocol/inspircd",
    "backend/opensex",
    "crypto/pbkdf2v2",
    "nickserv/main",
    "nickserv/register",
    "saslserv/main",
    "saslserv/plain",
];

pub(super) async fn start(lab: &Path, public: &Path) -> Result<Vec<Child>> {
    let data = directory(public, "inspircd")?;
    let mut servers = vec![
        start_server(lab, NGIRCD, &ngircd(), &["-n", "-f"], 6667).await?,
        start_server(lab, INSPIRCD, &inspircd(&data), &["--nofork", "--runasroot", "--config"], 6668).await?,
        start_server(lab, PROSODY, &prosody(&directory(public, "prosody")?)?, &["-F", "--config"], 5222)
            .await?,
    ];
    servers.push(start_accounts(lab, &directory(public, "atheme")?).await?);
    Ok(servers)
}

/// Starts another server of the network of ngircd. Its clients leave with it, which is a netsplit.
pub(crate) async fn start_linked_irc(lab: &Path) -> Result<Child> {
    let configuration = format!(
        "[Global]\nName = irc.linked.i2p\nInfo = another server\nListen = 127.0.0.1\nPorts = {}\n{NGIRCD_SETTINGS}\
         [Server]\nName = irc.far.i2p\nHost = 127.0.0.1\nPort = {}\nMyPassword = pw\nPeerPassword = pw\n",
        LINKED_IRC + OFFSET,
        6667 + OFFSET
    );
    start_server(lab, NGIRCD, &configuration, &["-n", "-f"], LINKED_IRC).await
}

const NGIRCD_SETTINGS: &str = "[Limits]\nMaxConnectionsIP = 0\nMaxJoins = 0\nMaxListSize = 0\nMaxPenaltyTime = 0\nConnectRetry = 1\nPingTimeout = 3600\n\
                               [Options]\nIdent = no\nPAM = no\nDNS = no\n";

fn ngircd() -> String {
    format!(
        "[Global]\nName = irc.far.i2p\nInfo = a server\nListen = 127.0.0.1\nPorts = {}\n{NGIRCD_SETTINGS}\
         [Server]\nName = irc.linked.i2p\nMyPassword = pw\nPeerPassword = pw\nPassive = yes\n",
        6667 + OFFSET
    )
}

fn inspircd(data: &Path) -> String {
    let data = data.display();
    let modules = INSPIRCD_MODULES.map(|name| format!("<module name=\"{name}\">\n")).concat();
    format!(
        "<server name=\"irc3.far.i2p\" description=\"a server\" network=\"Far\" id=\"3FA\">\n\
         <admin name=\"a\" nick=\"a\" email=\"a@far.i2p\">\n\
         <bind address=\"127.0.0.1\" port=\"{}\" type=\"clients\">\n\
         <bind address=\"127.0.0.1\" port=\"{ACCOUNTS_PORT}\" type=\"servers\">\n\
         <connect allow=\"*\" timeout=\"60\" localmax=\"1000\" globalmax=\"1000\" maxchans=\"1000\" commandrate=\"100000\" threshold=\"1000\" pingfreq=\"3600\" \
         resolvehostnames=\"no\" fakelag=\"no\" useident=\"no\">\n\
         <path datadir=\"{data}\" logdir=\"{data}\" runtimedir=\"{data}\">\n{modules}\
         <sasl target=\"services.far.i2p\" requiressl=\"no\">\n<uline server=\"services.far.i2p\">\n\
         <link name=\"services.far.i2p\" ipaddr=\"127.0.0.1\" port=\"1\" allowmask=\"127.0.0.1\" sendpass=\"pw\" recvpass=\"pw\">\n",
        6668 + OFFSET
    )
}

/// Where inspircd waits for the server of accounts.
const ACCOUNTS_PORT: u16 = 16_669;

/// Starts the server that keeps accounts for inspircd. Returns once both know each other.
async fn start_accounts(lab: &Path, data: &Path) -> Result<Child> {
    let modules = ATHEME_MODULES.map(|name| format!("loadmodule \"modules/{name}\";\n")).concat();
    let configuration = format!(
        "{modules}serverinfo {{ name = \"services.far.i2p\"; desc = \"services\"; numeric = \"3FB\"; recontime = 1; netname = \"Far\"; \
         hidehostsuffix = \"far\"; adminname = \"a\"; adminemail = \"a@far.i2p\"; registeremail = \"a@far.i2p\"; mta = \"/bin/true\"; \
         maxlogins = 50; maxusers = 0; maxnicks = 50; maxchans = 5; mdlimit = 30; emaillimit = 10; emailtime = 300; auth = none; \
         casemapping = ascii; }};\n\
         uplink \"irc3.far.i2p\" {{ host = \"127.0.0.1\"; send_password = \"pw\"; receive_password = \"pw\"; port = {ACCOUNTS_PORT}; }};\n\
         nickserv {{ spam; nick = \"NickServ\"; user = \"NickServ\"; host = \"services.far.i2p\"; real = \"n\"; }};\n\
         saslserv {{ nick = \"SaslServ\"; user = \"SaslServ\"; host = \"services.far.i2p\"; real = \"s\"; }};\n\
         database {{ }};\ngeneral {{ }};\n"
    );
    let file = lab.join("atheme.conf");
    fs::write(&file, configuration)?;
    let log = data.join("log");
    let mut accounts = command(ATHEME, lab)?;
    accounts.arg("-n").arg("-c").arg(&file).arg("-D").arg(data).arg("-l").arg(&log);
    let child = accounts.arg("-p").arg(data.join("pid")).spawn()?;
    until("IRC has accounts", START_TIMEOUT, async || {
        let log = fs::read_to_string(&log).unwrap_or_default();
        let knows = log.contains("finished synching");
        Ok(if knows { Attempt::Done(()) } else { Attempt::NotYet("they do not know each other".into()) })
    })
    .await?;
    Ok(child)
}

/// The configuration of a server with the accounts `anon` and `bob`, and without TLS.
fn prosody(data: &Path) -> Result<String> {
    let accounts = directory(data, "chat%2ei2p/accounts")?;
    for account in ["anon", "bob"] {
        fs::write(accounts.join(format!("{account}.dat")), "return { [\"password\"] = \"pw\" };\n")?;
    }
    Ok(format!(
        "run_as_root = true\npidfile = \"{data}/pid\"\ndata_path = \"{data}\"\ninterfaces = {{ \"127.0.0.1\" }}\nc2s_ports = {{ {} }}\n\
         modules_enabled = {{ \"roster\", \"saslauth\", \"disco\", \"ping\", \"presence\", \"message\", \"iq\", \"smacks\", \"carbons\", \"vcard4\", \"pep\", \"csi\" }}\n\
         modules_disabled = {{ \"s2s\", \"tls\" }}\nc2s_require_encryption = false\nallow_unencrypted_plain_auth = true\n\
         authentication = \"internal_plain\"\nlog = {{ info = \"*console\" }}\nVirtualHost \"chat.i2p\"\nComponent \"rooms.chat.i2p\" \"muc\"\nmuc_room_locking = false\n",
        5222 + OFFSET,
        data = data.display(),
    ))
}
