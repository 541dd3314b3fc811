"""Two people who chat by XMPP: `anon`, who uses the filtered program, and `bob`, who asks what it is.

Arguments: the name of the one, and a host and port. Both end when bob has asked everything.
"""

import asyncio
import sys

import slixmpp
from slixmpp.exceptions import IqError

NAME, HOST, PORT = sys.argv[1:4]
ROOM = "room@rooms.chat.i2p"
PEER = "bob@chat.i2p" if NAME == "anon" else "anon@chat.i2p"


class Client(slixmpp.ClientXMPP):
    def __init__(self):
        super().__init__(f"{NAME}@chat.i2p/" + ("telltale" if NAME == "anon" else "elsewhere"), "pw")
        for plugin in ("xep_0012", "xep_0030", "xep_0045", "xep_0085", "xep_0115", "xep_0184", "xep_0199", "xep_0202"):
            self.register_plugin(plugin)
        self.register_plugin("xep_0092", {"software_name": "slixmpp", "version": "tattler", "os": "telltale"})
        self["feature_mechanisms"].unencrypted_plain = True
        self.add_event_handler("session_start", self.start)
        self.add_event_handler("message", self.hear)
        self.add_event_handler("groupchat_message", self.hear_room)
        self.heard = asyncio.Queue()

    def hear(self, message):
        if message["type"] in ("chat", "normal") and message["body"]:
            self.heard.put_nowait((message["from"], message["body"]))

    def hear_room(self, message):
        if message["mucnick"] != NAME and message["body"]:
            print("in the room:", message["body"], flush=True)

    async def start(self, event):
        self.send_presence(pstatus="here")
        await self.get_roster()
        try:
            await asyncio.wait_for(self.anon() if NAME == "anon" else self.bob(), 50)
        finally:
            self.disconnect()

    async def anon(self):
        self.send_presence_subscription(pto=PEER)
        await self["xep_0012"].set_last_activity(seconds=903)
        self["xep_0045"].join_muc(ROOM, NAME)
        self.send_message(mto=PEER, mbody="hello")
        while True:
            _, body = await self.heard.get()
            print("heard:", body, flush=True)
            if body == "bye":
                return
            self.send_message(mto=ROOM, mbody="to all", mtype="groupchat")

    async def bob(self):
        peer, body = await self.heard.get()
        print("heard:", body, flush=True)
        self["xep_0045"].join_muc(ROOM, NAME)
        self.send_message(mto=peer, mbody="and you?")
        questions = {
            "version": self["xep_0092"].get_version,
            "time": self["xep_0202"].get_entity_time,
            "last": self["xep_0012"].get_last_activity,
            "info": self["xep_0030"].get_info,
            "ping": self["xep_0199"].send_ping,
        }
        for name, question in questions.items():
            try:
                answer = await question(peer, timeout=20)
                print(f"{name}:", " ".join(str(answer).split()), flush=True)
            except IqError as error:
                print(f"{name}: refused, {error.condition}", flush=True)
        await asyncio.sleep(2)
        self.send_message(mto=peer, mbody="bye")
        await asyncio.sleep(1)


client = Client()
client.connect(address=(HOST, int(PORT)), force_starttls=False, disable_starttls=True)
client.process(forever=False)
