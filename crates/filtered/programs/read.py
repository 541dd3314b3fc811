"""Reads and stores mail with imaplib, and reads it with poplib."""

import imaplib
import poplib

stored = b"From: anon@mail.i2p\r\nDate: Mon, 30 Nov 2026 12:00:00 +0545\r\nX-Mailer: tattler\r\n\r\nstored\r\n"
with imaplib.IMAP4("imap.i2p") as server:
    server.login("anon", "pw")
    server.xatom("ID", '("name" "tattler" "os" "telltale")')
    server.append("INBOX", None, None, stored)
    server.select("INBOX")
    _, found = server.search(None, "ALL")
    _, parts = server.fetch(found[0].split()[-1], "(RFC822)")
    assert b"stored" in parts[0][1], parts
    print("imap read it")
server = poplib.POP3("pop.i2p")
server.user("anon")
server.pass_("pw")
assert len(server.list()[1]) > 0
assert b"stored" in b"\n".join(server.retr(1)[1])
server.quit()
print("pop read it")
