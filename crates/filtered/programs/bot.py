"""A bot of the library irc, which joins, speaks, answers questions about itself, and leaves."""

import sys

import irc.bot


class Bot(irc.bot.SingleServerIRCBot):
    def on_welcome(self, connection, event):
        connection.join("#c")

        self.ircobj.execute_delayed(6, lambda: self.speak(connection))

    def speak(self, connection):
        connection.privmsg("#c", "hello")
        connection.action("#c", "waves")
        self.ircobj.execute_delayed(6, lambda: self.die("tattler leaves"))


Bot([("site.i2p", 6667)], "anon", "Tat Tler").start()
sys.exit(0)
