"""Runs a program on a terminal, and has a conversation with it.

    terminal.py LINE... -- PROGRAM ARGUMENT...

Each LINE is `expect TEXT`, which waits until the program has written the text since the last such line, or `type TEXT`, with
escapes such as \\n. The program is ended afterwards. Everything it writes is written to stdout.
"""

import os
import pty
import re
import signal
import struct
import sys
import termios
import time
from fcntl import ioctl
from select import select

ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[()][A-Z0-9]|\x1b[=>]|[\x0e\x0f]")
LIMIT_SECONDS = 50
SIZE = struct.pack("HHHH", 50, 200, 0, 0)

split = sys.argv.index("--")
lines, command = sys.argv[1:split], sys.argv[split + 1 :]
process, terminal = pty.fork()
if process == 0:
    ioctl(0, termios.TIOCSWINSZ, SIZE)
    os.execvp(command[0], command)

deadline = time.monotonic() + LIMIT_SECONDS
written = b""


def expect(text):
    global written
    while True:
        plain = ESCAPES.sub(b"", written)
        before, found, after = plain.partition(text.encode())
        if found:
            written = after
            return
        is_readable, _, _ = select([terminal], [], [], max(deadline - time.monotonic(), 0))
        if not is_readable:
            sys.exit(f"it does not write {text!r}, but {plain!r}")
        try:
            got = os.read(terminal, 65536)
        except OSError:
            sys.exit(f"it ends before it writes {text!r}: {plain!r}")
        written += got


try:
    for line in lines:
        verb, _, text = line.partition(" ")
        if verb == "expect":
            expect(text)
        else:
            os.write(terminal, text.encode().decode("unicode_escape").encode())
finally:
    os.kill(process, signal.SIGTERM)
