//! Serves a connection: each line is answered as the script says, or as a healthy bridge does.

use std::{io, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    commands::{self, dial, hello},
    connection::{Connection, LineRead, NextStep, Role, Segments, is_hello, send_split},
    dialect::Dialect,
    endpoint::Endpoint,
    recorder::lock,
    registry::becomes_true,
    relay,
    script::Act,
};

/// Serves a connection until it ends. `killed` becomes `true` when the bridge dies.
pub(crate) async fn serve(connection: Connection, mut killed: watch::Receiver<bool>) {
    tokio::select! {
        () = becomes_true(&mut killed) => {}
        // An error ends this connection only.
        _ = converse(connection) => {}
    }
}

async fn converse(mut connection: Connection) -> io::Result<()> {
    loop {
        let dialect = connection.shared.dialect;
        // i2pd reads HELLO from one segment only.
        let segments = match dialect.is_i2pd() && connection.version.is_none() {
            true => Segments::One,
            false => Segments::Any,
        };
        let deadline = connection.deadline();
        let line = tokio::select! {
            line = connection.wire.line(dialect, segments) => line?,
            unasked = connection.held.next() => {
                let Some(bytes) = unasked else { return Ok(()) };
                relay::send(&connection.wire.stream, &bytes).await?;
                continue;
            }
            () = until(deadline) => match connection.miss_deadline().await? {
                NextStep::Listen => continue,
                _ => return Ok(()),
            },
        };
        let line = match line {
            LineRead::Text(line) => line,
            LineRead::TooLong if dialect == Dialect::Java => {
                let text = "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"Line too long - max 8192\"";
                return connection.answer(text).await.map(|_| ());
            }
            LineRead::TooLong | LineRead::End => return Ok(()),
        };
        connection.shared.recorder.line(connection.number, &line);
        let next = react(&mut connection, &line).await?;
        // i2pd and emissary lose the early data of a stream, too.
        if !dialect.keeps_rest_of_segment() {
            connection.wire.buffer = Vec::new();
        }
        match next {
            NextStep::Listen => {}
            NextStep::Close => return Ok(()),
            NextStep::Become(role) => {
                let open = connection.open_stream();
                // What else the connection holds is dropped after the stream.
                let Connection { wire, shared: _shared, held: _held, .. } = connection;
                return role.play(wire, open).await;
            }
        }
        connection.renew_deadline(&line);
    }
}

/// Does what the script says, or what a healthy bridge does.
async fn react(connection: &mut Connection, line: &str) -> io::Result<NextStep> {
    let acts = lock(&connection.shared.script).after(line);
    let Some(acts) = acts else { return commands::behave(connection, line).await };
    // A scripted stream ends with its session like any other, and a script does not delay the end of a lost connection.
    let own = connection.held.session().map(|session| session.closing.subscribe());
    let mut end = own.or_else(|| connection.session_of_stream(line).map(|session| session.ended.subscribe()));
    let ended = async {
        match &mut end {
            Some(end) => becomes_true(end).await,
            None => std::future::pending().await,
        }
    };
    let next = tokio::select! {
        next = perform(connection, acts, line) => next?,
        () = ended => NextStep::Close,
    };
    if connection.version.is_none() && is_hello(line) {
        connection.version = Some(hello::version_after_script(connection, line));
    }
    Ok(next)
}

async fn perform(connection: &mut Connection, acts: Vec<Act>, line: &str) -> io::Result<NextStep> {
    for act in acts {
        match act {
            Act::Send(bytes) => relay::send(&connection.wire.stream, &bytes).await?,
            Act::Split(bytes, pause) => send_split(&connection.wire.stream, &bytes, pause).await?,
            Act::Wait(time) => sleep(time).await,
            Act::Listen(time) => listen(connection, time).await,
            Act::Behave => match commands::behave(connection, line).await? {
                NextStep::Listen => {}
                next => return Ok(next),
            },
            Act::Hang => std::future::pending().await,
            Act::Close => return Ok(NextStep::Close),
            Act::Echo => return Ok(scripted(connection, Endpoint::Echo, line)),
            Act::Dial => return dial::connect(connection, line).await,
            Act::AnswerAfterFin(answer) => {
                return Ok(scripted(connection, Endpoint::AnswerAfterFin(answer), line));
            }
        }
    }
    Ok(NextStep::Listen)
}

fn scripted(connection: &Connection, endpoint: Endpoint, line: &str) -> NextStep {
    NextStep::Become(Role::Scripted { endpoint, session: connection.session_of_stream(line) })
}

/// Reads for this long, and records what arrived as one line.
async fn listen(connection: &mut Connection, time: Duration) {
    let mut received = std::mem::take(&mut connection.wire.buffer);
    let stream = &connection.wire.stream;
    let receive = async { while !matches!(relay::receive(stream, &mut received).await, Ok(0) | Err(_)) {} };
    // The time runs out, unless the client closes first.
    let _ = timeout(time, receive).await;
    connection.shared.recorder.line(connection.number, &String::from_utf8_lossy(&received));
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
