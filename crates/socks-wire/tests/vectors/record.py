#!/usr/bin/env python3
"""Records a SOCKS client: serves one command on 127.0.0.1 and writes the chunks that it sends to a file.

usage: record.py OUT --client VERSION --expect KEYS [--method 00|02] [--take HEX] COMMAND

COMMAND is a line of shell. PORT in it is replaced by the port of the server.
"""

import argparse
import datetime
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

PATIENCE = 30  # seconds until the recording is abandoned
SILENCE = 3  # seconds without a byte after which a client is assumed to be done
SHOWN = 16  # bytes of data after the handshake that are kept: enough to recognise it as data
# The answer to RESOLVE must not be a real host: it is in TEST-NET-2.
RESOLVED = socket.inet_aton("198.51.100.7")
PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"


# These functions return the lengths of a message's fields, which tell where the message ends and how to format it. An
# incomplete message raises IndexError or ValueError.


def greeting(b):
    return [1, 1, b[1]]


def credentials(b):
    return [1, 1, b[1], 1, b[2 + b[1]]]


def address(b, at):
    return {1: [1, 4], 3: [1, 1, b[at + 1]], 4: [1, 16]}[b[at]] + [2]


def request5(b):
    return [1, 1, 1] + address(b, 3)


def request4(b):
    user = b.index(0, 8) - 8
    host = [b.index(0, 9 + user) - 9 - user, 1] if b[4:7] == bytes(3) and b[7] else []
    return [1, 1, 2, 4, user, 1] + host


class Connection:
    """The bytes that one client has sent, in the chunks of recv. TCP may have joined separate writes of the client."""

    def __init__(self, stream):
        self.stream, self.chunks, self.datagrams = stream, [], []
        self.fields, self.notes, self.end, self.credentials = [], {}, 0, None
        stream.settimeout(SILENCE)
        # Without TCP_NODELAY an answer could wait for an ACK, and the client's next chunks could be joined.
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def all(self):
        return b"".join(self.chunks)

    def receive(self):
        chunk = self.stream.recv(65536)
        self.chunks.append(chunk)
        return chunk

    def message(self, name, parse):
        """Reads until the next message is complete."""
        while True:
            rest = self.all()[self.end :]
            try:
                lengths = parse(rest)
                if sum(lengths) <= len(rest):
                    break
            except (IndexError, ValueError):
                pass
            if not self.receive():
                raise EOFError(f"closed within the {name}")
        self.notes[self.end] = name
        for length in lengths:
            self.end += length
            self.fields.append(self.end)
        return rest[: sum(lengths)]

    def serve(self, method):
        if (self.all() or self.receive())[:1] == b"\x04":
            self.message("request", request4)
            self.stream.sendall(b"\x00\x5a" + bytes(6))
        else:
            offered = self.message("greeting", greeting)[2:]
            # The other method if the wanted one is not offered.
            chosen = next((m for m in (method, 2 - method) if m in offered), 0xFF)
            self.stream.sendall(bytes([5, chosen]))
            if chosen == 2:
                given = self.message("credentials", credentials)
                self.credentials = given[2 : 2 + given[1]] + b":" + given[3 + given[1] :]
                self.stream.sendall(b"\x01\x00")
            command = self.message("request", request5)[1]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as relay:
                bound = bytes(6)
                if command == 3:
                    relay.bind(("127.0.0.1", 0))
                    bound = socket.inet_aton("127.0.0.1") + struct.pack(">H", relay.getsockname()[1])
                elif command == 0xF0:
                    bound = RESOLVED + bytes(2)
                self.stream.sendall(b"\x05\x00\x00\x01" + bound)
                if command == 3:
                    relay.settimeout(SILENCE)
                    self.datagrams.append(relay.recv(65536))
                    return
        # A client whose protocol lets the server speak first sends nothing here; one that has got all it wants closes.
        try:
            if self.receive().startswith(b"GET "):
                self.stream.sendall(PAGE)
        except (TimeoutError, ConnectionError):
            pass

    def lines(self):
        start = 0
        for chunk in self.chunks:
            end = start + len(chunk)
            notes = [note for at, note in self.notes.items() if start <= at < end]
            data = end - max(start, self.end)
            if data > 0:
                shown = f"first {SHOWN} of {data} bytes" if data > SHOWN else f"{data} bytes"
                notes.append(f"data, {shown}")
                chunk = chunk[: len(chunk) - max(0, data - SHOWN)]
            if chunk:
                cuts = [field - start for field in self.fields]
                yield f"{spaced(chunk, cuts)} # {', '.join(notes) or 'continued'}"
            start = end
        for datagram in self.datagrams:
            cuts, at = [2, 3], 3
            for length in address(datagram, 3):
                at += length
                cuts.append(at)
            yield f"udp: {spaced(datagram, cuts)} # header, data"


def spaced(chunk, cuts):
    cuts = [0] + sorted({cut for cut in cuts if 0 < cut < len(chunk)}) + [len(chunk)]
    return " ".join(chunk[a:b].hex() for a, b in zip(cuts, cuts[1:]))


def record(listener, client, method, take):
    """Returns the first connection that contains the bytes `take`. Clients may open others before it or in parallel."""
    deadline = time.monotonic() + PATIENCE
    listener.settimeout(1)
    gone = False
    while time.monotonic() < deadline:
        try:
            stream, _ = listener.accept()
        except TimeoutError:
            # Accept once more after the client's end, because its connection may be waiting.
            if gone:
                break
            gone = client.poll() is not None
            continue
        with stream:
            connection = Connection(stream)
            try:
                connection.serve(method)
            except (EOFError, OSError) as error:
                print(f"connection abandoned: {error!r} after {connection.all().hex()}", file=sys.stderr)
                continue
        if take in connection.all():
            return connection
        print(f"another connection: {connection.all()[:100]!r}", file=sys.stderr)
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("command")
    parser.add_argument("--client", required=True, help="name and exact version")
    parser.add_argument("--expect", required=True, help="the keys of README.md; %%CREDENTIALS%% is replaced by those received")
    parser.add_argument("--method", default="02", choices=["00", "02"], help="chosen if offered")
    parser.add_argument("--take", default="", help="hex; record the connection that contains these bytes")
    options = parser.parse_args()

    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        # Files that the command creates with mktemp are removed too.
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch,
    ):
        line = options.command.replace("PORT", str(listener.getsockname()[1]))
        # A process group of its own, so that processes started by the client end with it.
        environment = os.environ | {"TMPDIR": scratch}
        client = subprocess.Popen(line, shell=True, start_new_session=True, stdout=sys.stderr, env=environment)
        try:
            connection = record(listener, client, int(options.method), bytes.fromhex(options.take))
            try:
                client.wait(SILENCE)
            except subprocess.TimeoutExpired:
                pass
        finally:
            try:
                os.killpg(client.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            client.wait()
    if connection is None:
        sys.exit(f"{options.out}: no connection contains the bytes wanted")
    expect = options.expect.replace("%CREDENTIALS%", (connection.credentials or b"").decode())
    head = [f"# {options.client}", f"# {options.command}", f"# {datetime.date.today()}", f"#: {expect}"]
    with open(options.out, "w", encoding="ascii") as file:
        file.write("\n".join(head + list(connection.lines())) + "\n")


main()
