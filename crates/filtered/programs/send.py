"""Sends a message with smtplib."""

import smtplib
from email.message import EmailMessage
from email.utils import localtime, make_msgid

message = EmailMessage()
message["From"] = "anon@mail.i2p"
message["To"] = "bob@mail.i2p"
message["Subject"] = "of smtplib"
message["Date"] = localtime()
message["Message-ID"] = make_msgid()
message["X-Mailer"] = "tattler"
message.set_content("the body")
with smtplib.SMTP("smtp.i2p", 587) as server:
    server.send_message(message)
