"""A loopback Discord: REST, gateway, files and voice on 127.0.0.1, for the demo and the end-to-end tests.

An unmodified client runs against it with nothing but its address pointed elsewhere. It imports nothing of the bot, so
that the bot meets it only over the wire.
"""

from bot.sandbox.interactions import Interaction
from bot.sandbox.models import Channel, ChannelType, Guild, Member, Message, User, VoiceState
from bot.sandbox.people import NotOffered
from bot.sandbox.server import Sandbox

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
