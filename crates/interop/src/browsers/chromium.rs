//! Chromium, driven by the DevTools protocol over a pair of pipes (`--remote-debugging-pipe`): JSON messages that end with a zero.

use std::{fs, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use data_encoding::BASE64;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::unix::pipe::{OpenOptions, Receiver, Sender},
    process::{Child, Command},
    time::timeout,
};

use super::driver::{Driver, Look};

/// How long an answer of the browser may take. A script in a page may move 100 MB.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);
/// Chromium reads commands from descriptor 3 and writes answers to descriptor 4.
const START: &str = "exec \"$0\" \"$@\" 3<commands 4>answers";

/// A running browser. Dropping it kills it.
pub(super) struct Chromium {
    commands: Sender,
    answers: BufReader<Receiver>,
    /// The number of the last command.
    last: u64,
    /// The session of the protocol with the open tab, once there is one.
    tab: Option<String>,
    /// What the tab answers a proxy that asks for a password.
    credentials: Option<(String, String)>,
    _process: Child,
}

impl Chromium {
    /// Starts it with this proxy, and its files in `directory`.
    pub(super) async fn start(directory: &Path, proxy: &str) -> Result<Self> {
        let program = programs::find("chromium").context("chromium is missing")?;
        fs::create_dir_all(directory)?;
        let pipes = [directory.join("commands"), directory.join("answers")];
        let made = Command::new("mkfifo").args(&pipes).status().await?;
        ensure!(made.success(), "no pipes for the browser");
        // Opened for both directions, so that no side waits for the other one.
        let mut both = OpenOptions::new();
        both.read_write(true);
        let [commands, answers] = pipes;
        let (commands, answers) = (both.open_sender(commands)?, both.open_receiver(answers)?);
        let process = Command::new("sh")
            .args(["-c", START])
            .arg(program)
            // Root cannot make Chromium's own sandbox, and the suite runs in one already.
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", directory.join("profile").display()))
            // For what the browser does by itself.
            .arg(format!("--proxy-server=http://{proxy}"))
            .current_dir(directory)
            .env("HOME", directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(directory.join("stderr"))?)
            .kill_on_drop(true)
            .spawn()
            .context("could not start the browser")?;
        let answers = BufReader::new(answers);
        Ok(Self { commands, answers, last: 0, tab: None, credentials: None, _process: process })
    }

    /// Lets the tab answer with these when a proxy asks for a password, as a person does at the prompt.
    pub(super) async fn answer_prompts(&mut self, user: &str, password: &str) -> Result<()> {
        self.credentials = Some((user.to_owned(), password.to_owned()));
        self.call("Fetch.enable", json!({"handleAuthRequests": true})).await?;
        Ok(())
    }

    /// Sends a command for the tab, if there is one, and returns its number.
    async fn send(&mut self, method: &str, parameters: Value) -> Result<u64> {
        self.last += 1;
        let mut command = json!({"id": self.last, "method": method, "params": parameters});
        if let (Some(tab), Some(fields)) = (&self.tab, command.as_object_mut()) {
            fields.insert("sessionId".into(), json!(tab));
        }
        let command = [command.to_string().as_bytes(), b"\0"].concat();
        self.commands.write_all(&command).await.context("the browser has gone")?;
        Ok(self.last)
    }

    /// Sends a command and returns the result.
    async fn call(&mut self, method: &str, parameters: Value) -> Result<Value> {
        let number = self.send(method, parameters).await?;
        let answer = self.wait_for(|message| message.get("id") == Some(&json!(number)));
        let answer = answer.await.with_context(|| method.to_owned())?;
        match answer.get("error") {
            Some(error) => bail!("{method}: {error}"),
            None => Ok(answer.get("result").cloned().unwrap_or_default()),
        }
    }

    /// Reads messages until one of the tab is the wanted one.
    async fn wait_for(&mut self, is_wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        loop {
            let mut message = Vec::new();
            let read = self.answers.read_until(0, &mut message);
            timeout(ANSWER_TIMEOUT, read).await.context("the browser does not answer")??;
            message.pop();
            let message: Value = serde_json::from_slice(&message)?;
            let tab = message.get("sessionId").and_then(Value::as_str);
            if tab == self.tab.as_deref() {
                if is_wanted(&message) {
                    return Ok(message);
                }
                self.answer_request(&message).await?;
            }
        }
    }

    /// Lets a request go on that waits for us, and answers a prompt for a password.
    async fn answer_request(&mut self, event: &Value) -> Result<()> {
        let Some(request) = event.pointer("/params/requestId").cloned() else { return Ok(()) };
        match event.get("method").and_then(Value::as_str) {
            Some("Fetch.requestPaused") => {
                self.send("Fetch.continueRequest", json!({"requestId": request})).await?;
            }
            Some("Fetch.authRequired") => {
                let answer = match self.credentials.take() {
                    Some((user, password)) => {
                        json!({"response": "ProvideCredentials", "username": user, "password": password})
                    }
                    // A person gives up.
                    None => json!({"response": "CancelAuth"}),
                };
                let parameters = json!({"requestId": request, "authChallengeResponse": answer});
                self.send("Fetch.continueWithAuth", parameters).await?;
            }
            _ => {}
        }
        Ok(())
    }
}

impl Driver for Chromium {
    /// Opens a tab with cookies, cache and proxy of its own.
    async fn through(&mut self, proxy: &str) -> Result<()> {
        (self.tab, self.credentials) = (None, None);
        let options = json!({"proxyServer": format!("http://{proxy}")});
        let context = self.call("Target.createBrowserContext", options).await?;
        let context = text(&context, "browserContextId")?;
        let target = json!({"url": "about:blank", "browserContextId": context});
        let target = self.call("Target.createTarget", target).await?;
        let target = json!({"targetId": text(&target, "targetId")?, "flatten": true});
        let attached = self.call("Target.attachToTarget", target).await?;
        self.tab = Some(text(&attached, "sessionId")?);
        self.call("Page.enable", json!({})).await?;
        Ok(())
    }

    async fn open(&mut self, url: &str) -> Result<()> {
        let number = self.send("Page.navigate", json!({"url": url})).await?;
        let answer = self.wait_for(|message| message.get("id") == Some(&json!(number))).await?;
        let failure = answer.pointer("/result/errorText").or_else(|| answer.get("error"));
        ensure!(failure.is_none(), "{url}: {answer}");
        self.wait_for(|message| message.get("method") == Some(&json!("Page.loadEventFired"))).await?;
        Ok(())
    }

    async fn run(&mut self, script: &str) -> Result<String> {
        let expression = format!("(async () => {{ {script} }})().then(String)");
        let parameters = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let result = self.call("Runtime.evaluate", parameters).await?;
        ensure!(result.get("exceptionDetails").is_none(), "{script}: {result}");
        text(result.get("result").unwrap_or(&Value::Null), "value")
    }

    async fn picture(&mut self, look: Look) -> Result<Vec<u8>> {
        let Look { width, dark } = look;
        let size = json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500});
        self.call("Emulation.setDeviceMetricsOverride", size).await?;
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", media).await?;
        let picture = self.call("Page.captureScreenshot", json!({"format": "png"})).await?;
        Ok(BASE64.decode(text(&picture, "data")?.as_bytes())?)
    }
}

/// A text in an answer.
fn text(answer: &Value, name: &str) -> Result<String> {
    let text = answer.get(name).and_then(Value::as_str);
    Ok(text.with_context(|| format!("there is no {name} in {answer}"))?.to_owned())
}
