"""The one place that knows the private parts of discord.py 2.7.1 and davey 0.1.7.

discord.py receives nothing and offers one override point, `VoiceClient.create_connection_state()`. Behind it this layer
replaces how a voice connection reads, polls and recovers, and for that it needs names that no release promises to keep.
All of them are used in this package and nowhere else: its classes turn them into plain methods, which
`bot.voice.connection`, `bot.voice.websocket` and `bot.shards` override and call. Both libraries are pinned exactly;
`check()` says in words what does not fit.

    names.py       the versions, the names, and whether they are there
    connection.py  a voice connection          websocket.py  its websocket          client.py  its client
    shards.py      the queue between shards and client          gateway.py  events and requests it does not know
"""

from .client import EncryptingClient, client_of
from .connection import ConnectionSeam
from .gateway import ask_gateway, gateway_socket, on_gateway_event
from .names import PINNED, check, require
from .websocket import WebSocketSeam, close_code

__all__ = [
    "PINNED",
    "ConnectionSeam",
    "EncryptingClient",
    "WebSocketSeam",
    "ask_gateway",
    "check",
    "client_of",
    "close_code",
    "gateway_socket",
    "on_gateway_event",
    "require",
]
