//! `resolve NAME`: what kind of name it is, and what each source of names says.

use std::collections::BTreeMap;

use i2p_name::{B32, Destination, HostName, I2pName, Target};
use i2p_tunnel::is_own_host;
use serde::Serialize;

use super::{NO_PORT_HERE, host_advice, proxy_or_demo, remark_own_configuration};
use crate::{
    command_error::CommandError,
    config::Config,
    control::client::ControlError,
    daemon::bridge::bridge,
    names::{
        client,
        lookup::{HostLookup, Step},
        protocol::RESOLVE_PATH,
    },
    terminal::output::{Format, print},
};

/// What is known of a name.
#[derive(Serialize)]
struct Resolution {
    /// The name in its canonical form.
    name: String,
    /// What kind of name it is.
    form: &'static str,
    /// What the answer does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
    /// The sources that were asked, with their answers.
    steps: Vec<Step>,
    /// The base32 address that the name leads to, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    b32: Option<String>,
    /// The destination, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<String>,
    /// The services in the options of its lease set, if the router returns them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    services: BTreeMap<String, Vec<String>>,
    /// Whether a source was asked and did not answer.
    #[serde(skip)]
    incomplete: bool,
    /// Whether the host is outside I2P.
    #[serde(skip)]
    outside: bool,
}

/// Prints what a name leads to; fails if it is unknown.
pub(crate) async fn run(config: &Config, name: &str, format: Format) -> Result<(), CommandError> {
    let target = Target::parse(name.as_bytes()).map_err(|error| {
        let advice = host_advice(name, NO_PORT_HERE);
        CommandError::usage(format_args!("no client can ask for this name: {error}{advice}"))
    })?;
    let is_own = is_own_host(name.as_bytes());
    let refusal = match &target {
        Target::I2p(I2pName::Host(host)) => host.check_importable().err(),
        _ => None,
    };
    let resolution = match target {
        Target::I2p(name) if is_own => {
            Resolution::new(name.to_string(), "the proxy itself, which is never looked up")
        }
        Target::I2p(name) => Resolution::of(config, name).await?,
        Target::ClearNet(_) => Resolution::outside(name, "a host outside I2P"),
        Target::Ip(_) => Resolution::outside(name, "an IP address"),
        _ => Resolution::outside(name, "a kind of host that this version does not know"),
    };
    print(&format.render(&resolution, Resolution::to_text)?)?;
    match resolution.b32 {
        Some(_) => Ok(()),
        None if is_own => Err(CommandError::run_time(
            "the proxy has no address in I2P: programs that use it as an HTTP proxy get its pages at http://proxy.i2p/",
        )),
        None if resolution.outside => Err(CommandError::run_time(
            "only names in I2P are looked up; i2p-socks explain HOST PORT shows whether a route leads to this host",
        )),
        None if resolution.incomplete => Err(CommandError::run_time(
            "the name is unknown to the sources that answered; the others gave no answer, for the reasons above",
        )),
        None => Err(CommandError::run_time(match refusal {
            Some(refusal) => format!("the name is unknown, and no address book accepts it: {refusal}"),
            None => {
                "the name is unknown: a client that asks for it gets an error, and nothing is sent".to_owned()
            }
        })),
    }
}

impl Resolution {
    async fn of(config: &Config, name: I2pName) -> Result<Self, CommandError> {
        let shown = name.to_string();
        Ok(match name {
            I2pName::Host(host) => Self::new(shown, "a host name").found(look_up(config, &host).await?),
            I2pName::B32(b32) => {
                Self::new(shown, "a base32 address: the hash of a destination").at(b32).unasked()
            }
            I2pName::Blinded(_) => {
                let mut resolution = Self::new(shown.clone(), "a base32 address of an encrypted lease set");
                resolution.b32 = Some(shown);
                resolution.unasked()
            }
            I2pName::Destination(destination) => {
                Self::new(shown, "a destination").with(&destination).unasked()
            }
        })
    }

    fn new(name: String, form: &'static str) -> Self {
        Self {
            name,
            form,
            note: None,
            steps: Vec::new(),
            b32: None,
            destination: None,
            services: BTreeMap::new(),
            incomplete: false,
            outside: false,
        }
    }

    fn outside(name: &str, form: &'static str) -> Self {
        // Parsed, so nothing in it controls a terminal.
        Self { outside: true, ..Self::new(name.to_owned(), form) }
    }

    /// It is an address already.
    fn unasked(self) -> Self {
        let note = "an address needs no lookup, so nobody was asked; whether something answers there, only a connection shows";
        Self { note: Some(note), ..self }
    }

    fn at(self, b32: B32) -> Self {
        Self { b32: Some(b32.to_string()), ..self }
    }

    fn with(self, destination: &Destination) -> Self {
        let destination_text = Some(destination.to_base64());
        Self { destination: destination_text, ..self.at(destination.b32()) }
    }

    fn found(self, lookup: HostLookup) -> Self {
        let HostLookup { steps, b32, destination, services, incomplete } = lookup;
        Self { steps, b32, destination, services, incomplete, ..self }
    }

    fn to_text(&self) -> String {
        let mut text = format!("{} is {}\n", self.name, self.form);
        text.extend(self.note.iter().map(|note| format!("{note}\n")));
        for Step { step, answer } in &self.steps {
            text += &format!("  {step}: {answer}\n");
        }
        for (what, value) in [("base32", &self.b32), ("destination", &self.destination)] {
            if let Some(value) = value {
                text += &format!("{what}: {value}\n");
            }
        }
        for (service, places) in &self.services {
            text += &format!("service {service}: {}\n", places.join("; "));
        }
        text
    }
}

/// Asks the running proxy, or the demo. If there is none, the sources are asked from here, as the configuration of this command says.
async fn look_up(config: &Config, host: &HostName) -> Result<HostLookup, CommandError> {
    let asked = match proxy_or_demo(config).await {
        Ok(proxy) => proxy.ask(RESOLVE_PATH, &host.as_str()).await,
        Err(_) => return look_up_here(config, host).await,
    };
    match asked {
        Ok(found) => Ok(found),
        Err(why @ ControlError::NotRunning(_)) => {
            remark_own_configuration(&why);
            look_up_here(config, host).await
        }
        Err(error) => {
            let mut lookup = look_up_here(config, host).await?;
            lookup.incomplete = true;
            lookup.steps.insert(0, Step { step: "the running proxy".to_owned(), answer: error.to_string() });
            Ok(lookup)
        }
    }
}

async fn look_up_here(config: &Config, host: &HostName) -> Result<HostLookup, CommandError> {
    let bridge = if config.names.router { Some(bridge(config)?) } else { None };
    let book = async {
        let found = client::find(config, host).await.map_err(|error| error.to_string())?;
        Ok(found.and_then(|text| text.parse().ok()))
    };
    let bridge = bridge.as_ref().ok_or_else(|| "the configuration does not ask it".to_owned());
    Ok(HostLookup::of(host, &config.names, book, bridge).await)
}
