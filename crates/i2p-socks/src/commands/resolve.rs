//! `resolve NAME`: what a name is, and what each place that is asked says of it.

use std::collections::BTreeMap;

use i2p_name::{B32, Destination, HostName, I2pName, ServiceRecord, Target, is_service};
use i2p_sam::{Bridge, Error, Phase, ResultWord};
use serde::Serialize;

use crate::{config::Config, daemon::bridge::bridge, failure::Failure, names::client, terminal::output::say};

/// All that there is to say of a name.
#[derive(Serialize)]
struct Report {
    /// The name in its canonical form.
    name: String,
    /// What kind of name it is.
    form: &'static str,
    /// Whoever was asked, and what they said.
    steps: Vec<Step>,
    /// The base32 address that it leads to, if it leads anywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    b32: Option<String>,
    /// The destination, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<String>,
    /// Where its services are, by option of its lease set, where the router says it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    services: BTreeMap<String, Vec<String>>,
    /// Whether the router is to be asked and did not answer.
    #[serde(skip)]
    router_silent: bool,
    /// Whether it is no name of I2P.
    #[serde(skip)]
    outside: bool,
}

/// One place that was asked.
#[derive(Serialize)]
struct Step {
    /// Which.
    step: &'static str,
    /// What it said, for people.
    answer: String,
}

/// Says on stdout what a name is and where it leads; fails when it leads nowhere.
pub(crate) async fn run(config: &Config, name: &str, json: bool) -> Result<(), Failure> {
    let target = Target::parse(name.as_bytes()).map_err(|error| {
        Failure::run_time(format_args!("that is no name that a client may ask for: {error}"))
    })?;
    let report = match target {
        Target::I2p(name) => Report::of(config, name).await?,
        Target::ClearNet(_) => Report::outside(name, "a host outside I2P"),
        Target::Ip(_) => Report::outside(name, "an IP address"),
        _ => Report::outside(name, "nothing that is known here"),
    };
    let text = if json {
        serde_json::to_string_pretty(&report).map_err(Failure::run_time)? + "\n"
    } else {
        report.plain()
    };
    say(&text)?;
    match report.b32 {
        Some(_) => Ok(()),
        None if report.outside => Err(Failure::run_time(
            "nothing looks that up here: i2p-socks explain HOST PORT says whether a route leads there",
        )),
        None if report.router_silent => Err(Failure::run_time(
            "nobody who was asked knows it, and the router could not be asked: see that it runs",
        )),
        None => Err(Failure::run_time("it leads nowhere: a client is told that, and nothing is sent")),
    }
}

impl Report {
    async fn of(config: &Config, name: I2pName) -> Result<Self, Failure> {
        let shown = name.to_string();
        Ok(match name {
            I2pName::Host(host) => {
                let mut report = Self::new(shown, "a host name");
                report.look_up(config, &host).await?;
                report
            }
            I2pName::B32(b32) => Self::new(shown, "a base32 address: the hash of a destination").at(b32),
            I2pName::Blinded(_) => {
                let mut report = Self::new(shown.clone(), "a base32 address of an encrypted lease set");
                report.b32 = Some(shown);
                report
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
        // It was parsed: there is nothing in it that a terminal could take for a command.
        Self { outside: true, ..Self::new(name.to_owned(), form) }
    }

    fn at(self, b32: B32) -> Self {
        Self { b32: Some(b32.to_string()), ..self }
    }

    fn with(self, destination: &Destination) -> Self {
        let destination_text = Some(destination.to_base64());
        Self { destination: destination_text, ..self.at(destination.b32()) }
    }

    /// Asks every place, in the order in which the proxy asks them. The first that knows decides where it leads.
    async fn look_up(&mut self, config: &Config, host: &HostName) -> Result<(), Failure> {
        let fixed = config.names.fixed.get(host);
        self.note("the configuration's names", fixed);
        if config.names.book {
            match client::find(config, host).await {
                Ok(found) => {
                    let found = found.and_then(|text| text.parse::<Destination>().ok()).map(I2pName::from);
                    self.note("the address book", found.as_ref());
                }
                Err(failure) => self.say("the address book", failure.to_string()),
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
                    self.say("the router's address book", error.to_string());
                }
            }
        }
        if self.b32.is_none() && !config.names.jump.is_empty() {
            self.say("the jump services", "the proxy asks them when a client wants the name".to_owned());
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
        self.say(step, b32.clone().unwrap_or_else(|| "not there".to_owned()));
        if self.b32.is_none() {
            (self.b32, self.destination) = (b32, destination);
        }
    }

    fn say(&mut self, step: &'static str, answer: String) {
        self.steps.push(Step { step, answer });
    }

    fn plain(&self) -> String {
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

/// What the lease set says of services. Routers that know nothing of that, and lease sets that are not found, say nothing.
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

/// What the router says; nothing, if it does not know the name.
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
