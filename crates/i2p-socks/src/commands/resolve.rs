//! `resolve NAME`: what kind of name it is, and what each source of names says.

use std::collections::BTreeMap;

use i2p_name::{B32, Destination, HostName, I2pName, ServiceRecord, Target, is_service};
use i2p_sam::{Bridge, Error, Phase, ResultWord};
use serde::Serialize;

use crate::{
    command_error::CommandError,
    config::Config,
    daemon::bridge::bridge,
    names::client,
    terminal::output::{Format, print},
};

/// What is known of a name.
#[derive(Serialize)]
struct Resolution {
    /// The name in its canonical form.
    name: String,
    /// What kind of name it is.
    form: &'static str,
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
    /// Whether the router was asked and did not answer.
    #[serde(skip)]
    router_silent: bool,
    /// Whether the host is outside I2P.
    #[serde(skip)]
    outside: bool,
}

/// One source that was asked.
#[derive(Serialize)]
struct Step {
    /// The source.
    step: &'static str,
    /// Its answer, for people.
    answer: String,
}

/// Prints what a name leads to; fails if it is unknown.
pub(crate) async fn run(config: &Config, name: &str, format: Format) -> Result<(), CommandError> {
    let target = Target::parse(name.as_bytes())
        .map_err(|error| CommandError::run_time(format_args!("no client can ask for this name: {error}")))?;
    let resolution = match target {
        Target::I2p(name) => Resolution::of(config, name).await?,
        Target::ClearNet(_) => Resolution::outside(name, "a host outside I2P"),
        Target::Ip(_) => Resolution::outside(name, "an IP address"),
        _ => Resolution::outside(name, "a kind of host that this version does not know"),
    };
    print(&format.render(&resolution, Resolution::to_text)?)?;
    match resolution.b32 {
        Some(_) => Ok(()),
        None if resolution.outside => Err(CommandError::run_time(
            "only names in I2P are looked up; i2p-socks explain HOST PORT shows whether a route leads to this host",
        )),
        None if resolution.router_silent => Err(CommandError::run_time(
            "the name is unknown to the sources that answered, and the router did not answer: check that it is running",
        )),
        None => Err(CommandError::run_time(
            "the name is unknown: a client that asks for it gets an error, and nothing is sent",
        )),
    }
}

impl Resolution {
    async fn of(config: &Config, name: I2pName) -> Result<Self, CommandError> {
        let shown = name.to_string();
        Ok(match name {
            I2pName::Host(host) => {
                let mut resolution = Self::new(shown, "a host name");
                resolution.look_up(config, &host).await?;
                resolution
            }
            I2pName::B32(b32) => Self::new(shown, "a base32 address: the hash of a destination").at(b32),
            I2pName::Blinded(_) => {
                let mut resolution = Self::new(shown.clone(), "a base32 address of an encrypted lease set");
                resolution.b32 = Some(shown);
                resolution
            }
            I2pName::Destination(destination) => Self::new(shown, "a destination").with(&destination),
        })
    }

    fn new(name: String, form: &'static str) -> Self {
        Self {
            name,
            form,
            steps: Vec::new(),
            b32: None,
            destination: None,
            services: BTreeMap::new(),
            router_silent: false,
            outside: false,
        }
    }

    fn outside(name: &str, form: &'static str) -> Self {
        // Parsed, so nothing in it controls a terminal.
        Self { outside: true, ..Self::new(name.to_owned(), form) }
    }

    fn at(self, b32: B32) -> Self {
        Self { b32: Some(b32.to_string()), ..self }
    }

    fn with(self, destination: &Destination) -> Self {
        let destination_text = Some(destination.to_base64());
        Self { destination: destination_text, ..self.at(destination.b32()) }
    }

    /// Asks every source, in the order of the proxy. The first one that knows the name decides.
    async fn look_up(&mut self, config: &Config, host: &HostName) -> Result<(), CommandError> {
        let fixed = config.names.fixed.get(host);
        self.note("the configuration's names", fixed);
        if config.names.book {
            match client::find(config, host).await {
                Ok(found) => {
                    let found = found.and_then(|text| text.parse::<Destination>().ok()).map(I2pName::from);
                    self.note("the address book", found.as_ref());
                }
                Err(error) => self.add("the address book", error.to_string()),
            }
        }
        if config.names.router {
            let bridge = bridge(config)?;
            match ask(&bridge, host).await {
                Ok(found) => {
                    let known = found.is_some();
                    self.note("the router's address book", found.map(I2pName::from).as_ref());
                    if known {
                        self.services = services(&bridge, host).await;
                    }
                }
                Err(error) => {
                    self.router_silent = true;
                    self.add("the router's address book", error.to_string());
                }
            }
        }
        if self.b32.is_none() && !config.names.jump.is_empty() {
            self.add(
                "the jump services",
                "not asked; the proxy asks them when a client requests the name".to_owned(),
            );
        }
        Ok(())
    }

    fn note(&mut self, step: &'static str, found: Option<&I2pName>) {
        let (b32, destination) = match found {
            Some(I2pName::Destination(destination)) => {
                (Some(destination.b32().to_string()), Some(destination.to_base64()))
            }
            Some(other) => (Some(other.to_string()), None),
            None => (None, None),
        };
        self.add(step, b32.clone().unwrap_or_else(|| "not there".to_owned()));
        if self.b32.is_none() {
            (self.b32, self.destination) = (b32, destination);
        }
    }

    fn add(&mut self, step: &'static str, answer: String) {
        self.steps.push(Step { step, answer });
    }

    fn to_text(&self) -> String {
        let mut text = format!("{} is {}\n", self.name, self.form);
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

/// The services in the options of the lease set. Empty if the router does not support the lookup or does not find the lease set.
async fn services(bridge: &Bridge, host: &HostName) -> BTreeMap<String, Vec<String>> {
    let options = bridge.lookup_options(&host.clone().into()).await.unwrap_or_default();
    let services = options.into_iter().filter(|(option, _)| is_service(option));
    services
        .filter_map(|(option, value)| {
            let records = ServiceRecord::parse_all(&value).ok()?;
            Some((option, records.iter().map(place).collect()))
        })
        .collect()
}

fn place(record: &ServiceRecord) -> String {
    let app = record.app.as_ref().map(|app| format!(", for {app}")).unwrap_or_default();
    match &record.at {
        None => format!("port {}{app}", record.port),
        Some(at) => format!(
            "port {} of {} (priority {}, weight {}){app}",
            record.port, at.name, at.priority, at.weight
        ),
    }
}

/// The answer of the router's address book; `None` if it does not have the name.
async fn ask(bridge: &Bridge, host: &HostName) -> Result<Option<Destination>, Error> {
    match bridge.lookup(&host.clone().into()).await {
        Ok(found) => Ok(Some(found)),
        Err(Error::Refused {
            phase: Phase::NamingLookup,
            result: ResultWord::KeyNotFound | ResultWord::InvalidKey,
            ..
        }) => Ok(None),
        Err(error) => Err(error),
    }
}
