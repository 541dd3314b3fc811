"""A bot of the library irc, which does what it reads from the pipe `control`: a method and its arguments, separated by bars."""

import base64
import queue
import sys
import threading

import irc.bot

HOST, NICK = sys.argv[1:3]
PASSWORD = sys.argv[3] if len(sys.argv) > 3 else None
COMMANDS = queue.Queue()


def read_commands():
    with open("control") as pipe:
        for line in pipe:
            COMMANDS.put(line.rstrip("\n").split("|"))


class Bot(irc.bot.SingleServerIRCBot):
    def on_all_raw_messages(self, connection, event):
        line = event.arguments[0]
        print(line)
        if " ACK " in line and "sasl" in line:
            connection.send_raw("AUTHENTICATE PLAIN")
        elif line.startswith("AUTHENTICATE"):
            login = f"{NICK}\0{NICK}\0{PASSWORD}".encode()
            connection.send_raw("AUTHENTICATE " + base64.b64encode(login).decode())
        elif " 903 " in line:
            connection.join("#" + NICK)

    def on_welcome(self, connection, event):
        if PASSWORD:
            connection.cap("REQ", "sasl")
        else:
            connection.join("#" + NICK)

    def on_disconnect(self, connection, event):
        sys.exit(0)

    def obey(self):
        while not COMMANDS.empty():
            method, *arguments = COMMANDS.get()
            getattr(self.connection, method)(*arguments)


threading.Thread(target=read_commands, daemon=True).start()
bot = Bot([(HOST, 6667)], NICK, "Tat Tler")
bot.ircobj.execute_every(0.1, bot.obey)
bot.start()
