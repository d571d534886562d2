"""A loopback Discord: REST, gateway, files and voice on 127.0.0.1, for the demo and the end-to-end tests.

An unmodified client runs against it with nothing but its address pointed elsewhere. It imports nothing of the bot, so
that the bot meets it only over the wire.
"""

from sandbox.interactions import Interaction
from sandbox.models import Channel, ChannelType, Guild, Member, Message, User, VoiceState
from sandbox.people import NotOffered
from sandbox.server import Sandbox

__all__ = [
    "Channel",
    "ChannelType",
    "Guild",
    "Interaction",
    "Member",
    "Message",
    "NotOffered",
    "Sandbox",
    "User",
    "VoiceState",
]
