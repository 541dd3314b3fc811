//! Firefox, driven by Marionette, its own protocol: JSON messages over TCP, each after its length and a colon.

use std::{fs, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use data_encoding::BASE64;
use lab::wait::{Attempt, until};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::timeout,
};

use super::driver::{Driver, Look};

/// Where it waits for commands. The namespace is ours, so that the port is free.
const ADDRESS: &str = "127.0.0.1:2828";
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// The values of `network.proxy.type`.
const PROXY_BY_HAND: &str = "1";
const PROXY_BY_PAC: &str = "2";
/// How long an answer may take, and a script in a page.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);
const SCRIPT_TIMEOUT_MS: u64 = 590_000;
/// What every profile sets, as `docs/clients.md` says: nothing but the proxy is asked, for whatever host.
const PREFERENCES: &str = "\
user_pref(\"network.proxy.type\", 1);
user_pref(\"network.proxy.http\", \"127.0.0.1\");
user_pref(\"network.proxy.ssl\", \"127.0.0.1\");
user_pref(\"network.proxy.no_proxies_on\", \"\");
user_pref(\"network.proxy.failover_direct\", false);
user_pref(\"network.proxy.allow_bypass\", false);
user_pref(\"network.dns.native_https_query\", false);
user_pref(\"network.dns.upgrade_with_https_rr\", false);
user_pref(\"network.dns.use_https_rr_as_altsvc\", false);
user_pref(\"network.captive-portal-service.enabled\", false);
user_pref(\"dom.security.https_only_mode\", false);
user_pref(\"browser.shell.checkDefaultBrowser\", false);
user_pref(\"datareporting.policy.dataSubmissionEnabled\", false);
";

/// Answers the prompts for a password in turn, as a person does, and cancels those behind the last answer. Keeps what they say.
const ANSWER_PROMPTS: &str = "\
const [answers] = arguments;
const browser = Services.wm.getMostRecentWindow('navigator:browser');
browser.promptsSeen = [];
Services.obs.addObserver((prompt) => {
  const part = (name) => prompt.document.getElementById(name);
  browser.promptsSeen.push(part('infoBody').textContent);
  const answer = answers.shift();
  if (!answer) {
    part('commonDialog').cancelDialog();
    return;
  }
  [part('loginTextbox').value, part('password1Textbox').value] = answer;
  part('commonDialog').acceptDialog();
}, 'common-dialog-loaded');
";
/// What they said.
const PROMPTS_SEEN: &str =
    "return Services.wm.getMostRecentWindow('navigator:browser').promptsSeen.join('\\n');";

/// A running browser. Dropping it kills it.
pub(super) struct Firefox {
    stream: BufReader<TcpStream>,
    /// The number of the last command.
    last: u64,
    _process: Child,
}

impl Firefox {
    /// Starts it with its files in `directory`.
    pub(super) async fn start(directory: &Path) -> Result<Self> {
        let program = programs::find("firefox-esr").context("firefox-esr is missing")?;
        let profile = directory.join("profile");
        fs::create_dir_all(&profile)?;
        fs::write(profile.join("user.js"), PREFERENCES)?;
        let mut command = Command::new(program);
        command
            .args(["--headless", "--no-remote", "--marionette", "--remote-allow-system-access", "--profile"])
            .arg(profile)
            .env("HOME", directory)
            .stdin(Stdio::null())
            .stdout(fs::File::create(directory.join("stdout"))?)
            .stderr(fs::File::create(directory.join("stderr"))?)
            .kill_on_drop(true);
        let process = command.spawn().context("could not start the browser")?;
        let stream = until("Firefox takes commands", START_TIMEOUT, async || {
            Ok(Attempt::of(TcpStream::connect(ADDRESS).await))
        });
        let stream = BufReader::new(stream.await?);
        let mut firefox = Self { stream, last: 0, _process: process };
        firefox.read().await.context("no greeting")?;
        firefox.call("WebDriver:NewSession", json!({})).await?;
        firefox.call("WebDriver:SetTimeouts", json!({"script": SCRIPT_TIMEOUT_MS})).await?;
        Ok(firefox)
    }

    /// Answers the next prompts for a password with these names and passwords, as a person does. Call it before there is one, and once.
    pub(super) async fn answer_prompts(&mut self, answers: &[(&str, &str)]) -> Result<()> {
        self.in_browser(ANSWER_PROMPTS, json!([answers])).await?;
        Ok(())
    }

    /// What the prompts have said, a line each.
    pub(super) async fn prompts(&mut self) -> Result<String> {
        let seen = self.in_browser(PROMPTS_SEEN, json!([])).await?;
        Ok(seen.get("value").and_then(Value::as_str).context("no text")?.to_owned())
    }

    /// Lets the `proxy.pac` at this URL choose the proxy from now on.
    pub(super) async fn through_pac(&mut self, url: &str) -> Result<()> {
        let script = "Services.prefs.setStringPref('network.proxy.autoconfig_url', arguments[0]);";
        self.in_browser(script, json!([url])).await?;
        self.prefer("network.proxy.type", PROXY_BY_PAC).await
    }

    /// Sets a number among the preferences of the browser.
    async fn prefer(&mut self, name: &str, value: &str) -> Result<()> {
        self.in_browser(&format!("Services.prefs.setIntPref('{name}', {value});"), json!([])).await?;
        Ok(())
    }

    /// Runs a script in the browser itself, and not in a page.
    async fn in_browser(&mut self, script: &str, arguments: Value) -> Result<Value> {
        self.call("Marionette:SetContext", json!({"value": "chrome"})).await?;
        let parameters = json!({"script": script, "args": arguments});
        let result = self.call("WebDriver:ExecuteScript", parameters).await?;
        self.call("Marionette:SetContext", json!({"value": "content"})).await?;
        Ok(result)
    }

    async fn call(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.last += 1;
        let command = json!([0, self.last, method, parameters]).to_string();
        self.stream.get_mut().write_all(format!("{}:{command}", command.len()).as_bytes()).await?;
        let answer = timeout(ANSWER_TIMEOUT, self.read()).await.context("the browser does not answer")??;
        let [_, _, error, result] = answer.as_array().map_or(&[][..], Vec::as_slice) else {
            bail!("{method}: {answer}");
        };
        ensure!(error.is_null(), "{method}: {error}");
        Ok(result.clone())
    }

    async fn read(&mut self) -> Result<Value> {
        let mut length = Vec::new();
        self.stream.read_until(b':', &mut length).await?;
        length.pop();
        let mut message = vec![0; str::from_utf8(&length)?.parse().context("no length")?];
        self.stream.read_exact(&mut message).await?;
        Ok(serde_json::from_slice(&message)?)
    }
}

impl Driver for Firefox {
    async fn through(&mut self, proxy: &str) -> Result<()> {
        let port = proxy.rsplit_once(':').context("no port")?.1;
        for name in ["network.proxy.http_port", "network.proxy.ssl_port"] {
            self.prefer(name, port).await?;
        }
        self.prefer("network.proxy.type", PROXY_BY_HAND).await
    }

    async fn open(&mut self, url: &str) -> Result<()> {
        self.call("WebDriver:Navigate", json!({"url": url})).await?;
        Ok(())
    }

    async fn run(&mut self, script: &str) -> Result<String> {
        let script = format!(
            "const done = arguments[arguments.length - 1]; \
             (async () => {{ {script} }})().then(String).then(done, (error) => done('failed: ' + error));"
        );
        let result = self.call("WebDriver:ExecuteAsyncScript", json!({"script": script, "args": []})).await?;
        let text = result.get("value").and_then(Value::as_str);
        Ok(text.with_context(|| format!("no text: {result}"))?.to_owned())
    }

    async fn picture(&mut self, Look { width, dark }: Look) -> Result<Vec<u8>> {
        self.prefer("layout.css.prefers-color-scheme.content-override", if dark { "0" } else { "1" }).await?;
        let size = json!({"x": 0, "y": 0, "width": width, "height": 800});
        self.call("WebDriver:SetWindowRect", size).await?;
        let picture = self.call("WebDriver:TakeScreenshot", json!({"full": false})).await?;
        let picture = picture.get("value").and_then(Value::as_str).context("no picture")?;
        Ok(BASE64.decode(picture.as_bytes())?)
    }
}
