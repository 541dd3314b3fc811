//! `check`: whether the configuration is correct, and what the router supports.

use i2p_sam::{Capabilities, Dialect, Error, Router};

use super::status::report_of;
use crate::{
    command_error::CommandError,
    config::{Config, problem::Problem, values::Backend},
    control::client::ControlClient,
    daemon::{
        bridge::bridge,
        datagram_support::DatagramKind,
        home::{Consequence, StateDirectory},
        identities,
        own_router::{faults_of_files, installed_i2pd, no_i2pd},
        router::OwnChoice,
        used_bridge::UsedBridge,
    },
    files,
    status::{bridge_advice::advice, own_router::OwnRouterKind},
    terminal::output::print,
};

/// Prints that the configuration, which has been checked, is correct, and with `live` what the router supports.
pub(crate) async fn run(config: &Config, live: bool) -> Result<(), CommandError> {
    let mut text = String::from("the configuration is correct\n");
    for tunnel in config.tunnels() {
        let listeners: Vec<_> = tunnel.listen()?.iter().map(ToString::to_string).collect();
        text += &format!("tunnel {} listens on {}\n", tunnel.name(), listeners.join(", "));
    }
    if config.router.backend == Backend::Auto {
        text.extend(
            faults_of_own_router(config)
                .into_iter()
                .map(|why| format!("if no other router is found, the proxy does not start: {why}\n")),
        );
    }
    if let Some(which) = identities::tunnels_without_keys(config) {
        text += &format!(
            "{which}: the router makes them at the first start of the proxy, or now with i2p-socks keys new\n"
        );
    }
    match StateDirectory::examine(config) {
        Some(Consequence::Without(what)) => text += &format!("warning: {what}\n"),
        Some(Consequence::Refused(..)) => {}
        None => {
            text.extend(user_of_state_directory(config));
            text.extend(proxy_with_state_directory(config).await);
        }
    }
    let warnings = config.risks().into_iter().chain(config.without_effect());
    text.extend(warnings.map(|warning| format!("warning: {warning}\n")));
    let outcome = if live { ask(config).await } else { Ok(String::new()) };
    text += outcome.as_deref().unwrap_or_default();
    print(&text)?;
    outcome.map(|_| ())
}

/// As whom the proxy has to run, if the state directory, which root has found usable, is that of another user.
fn user_of_state_directory(config: &Config) -> Option<String> {
    let state_dir = config.state_dir().ok()?;
    let owner = files::other_owner(&state_dir)?;
    Some(format!(
        "the state directory {} belongs to user {owner}: only a proxy that runs as this user can use it\n",
        state_dir.display()
    ))
}

/// That a proxy is running with the state directory, and what a second one would do. It may be the one whose file is checked.
async fn proxy_with_state_directory(config: &Config) -> Option<String> {
    let would = match StateDirectory::if_shared(config).await? {
        Consequence::Refused(why, _) => format!("end: {why}"),
        Consequence::Without(what) => {
            format!("end if one of its addresses is in use, and otherwise warn: {what}")
        }
    };
    Some(format!(
        "warning: a proxy is running with this state directory. A second i2p-socks run would {would}\n"
    ))
}

/// Why the router of our own that `auto` would choose would not start.
fn faults_of_own_router(config: &Config) -> Vec<String> {
    let of_files = |own| faults_of_files(config, own).into_iter().map(|(_, fault)| fault);
    match OwnChoice::of(config) {
        OwnChoice::Embedded(_) => {
            let refused = config.refused_by_embedded_router().into_iter().map(|Problem { text, .. }| text);
            refused.chain(of_files(OwnRouterKind::Embedded)).collect()
        }
        OwnChoice::I2pd(_) => of_files(OwnRouterKind::I2pd).collect(),
        OwnChoice::None(_) => Vec::new(),
    }
}

/// What the router supports, in words.
async fn ask(config: &Config) -> Result<String, CommandError> {
    match config.router.backend {
        Backend::Embedded => {
            return Ok("the router is the embedded one, which starts together with the proxy\n".to_owned());
        }
        Backend::I2pd => {
            let program = installed_i2pd(config).map_err(|fault| no_i2pd(&fault))?;
            return Ok(format!(
                "the router is i2pd ({}), which starts together with the proxy\n",
                program.display()
            ));
        }
        Backend::Auto | Backend::Sam => {}
    }
    let bridge = bridge(config)?;
    match bridge.router().await {
        Ok(router) => Ok(found(&router, config).await),
        // Its SAM bridge answers only the proxy.
        Err(error)
            if config.router.backend == Backend::Auto
                && !error.needs_other_configuration()
                && a_running_proxy_has_own_router(config).await =>
        {
            Ok(format!(
                "{error}, but the running proxy runs a router of its own, which i2p-socks status shows\n"
            ))
        }
        Err(error) => match without_bridge(config, &error) {
            Some(what) => Err(CommandError::run_time(format_args!(
                "no router answers: {error}. i2p-socks run would {what}"
            ))),
            None => Err(CommandError::run_time(format_args!(
                "{error}. Without a router, nothing in I2P can be reached. {}",
                advice(&error)
            ))),
        },
    }
}

/// Whether the proxy that is running with this state directory, if there is one, runs a router of its own.
async fn a_running_proxy_has_own_router(config: &Config) -> bool {
    let Ok(state_dir) = config.state_dir() else { return false };
    report_of(&ControlClient::of(&state_dir)).await.is_ok_and(|report| report.own_router.is_some())
}

/// What is known of a router, what it was asked for, and what not.
async fn found(router: &Router, config: &Config) -> String {
    let capabilities = router.capabilities();
    let mut text = format!(
        "the router at {} answers: {}\nknown from its version: {capabilities}\n{}",
        router.bridge().address(),
        name(capabilities),
        delays(capabilities)
    );
    // Every router has them, and one takes minutes right after the start of the router.
    let mut not_tried =
        vec!["whether a stream can be opened, which i2p-socks status tells once the proxy runs".to_owned()];
    for kind in DatagramKind::all(config) {
        let (support, tunnels) = (kind.support(router).await, kind.tunnels.join(", "));
        match support {
            Some(_) if tunnels.is_empty() => {}
            Some(Ok(())) => text += &format!("{}, which {tunnels} uses: supported\n", kind.name),
            Some(Err(error)) => {
                let why = error.for_log();
                text += &format!("{}, which {tunnels} uses: UDP does not work: {why}\n", kind.name);
            }
            None => not_tried.push(format!("{}, which no tunnel uses", kind.name)),
        }
    }
    text + &format!("not tried: {}\n", not_tried.join("; "))
}

/// What the proxy would do without a SAM bridge, if it would not end.
fn without_bridge(config: &Config, error: &Error) -> Option<String> {
    if config.router.backend != Backend::Auto || error.needs_other_configuration() {
        return None;
    }
    match OwnChoice::of(config) {
        OwnChoice::None(_) => None,
        OwnChoice::Embedded(_) if !config.refused_by_embedded_router().is_empty() => {
            Some("end, since the embedded router cannot serve these tunnels".to_owned())
        }
        _ if UsedBridge::of(config).file().is_some() => Some(
            "wait for it and start no router of its own, since it has used a router's SAM bridge before"
                .to_owned(),
        ),
        _ if error.may_be_of_router_at(&config.router.sam.0) => None,
        own => Some(format!("start {own} instead")),
    }
}

/// The name of the router, as far as its answers tell.
fn name(capabilities: Capabilities) -> &'static str {
    match capabilities.dialect() {
        Dialect::I2pd => "i2pd",
        Dialect::Emissary => "emissary",
        _ => "Java I2P, or another router that follows the SAM specification",
    }
}

/// What is slow on this router, and what helps.
fn delays(capabilities: Capabilities) -> &'static str {
    match capabilities.dialect() {
        Dialect::Standard => {
            "Java I2P's bridge delays new streams by about 500 ms, which early-data = true avoids, and each exchange on an open \
             stream by about 170 ms, which nothing avoids: see docs/sam-routers.md\n"
        }
        _ => "",
    }
}
