"""The main gateway: a websocket over which the bot hears what happens.

session.py     what a bot wants to hear and has not confirmed yet; outlives its connection
dispatch.py    from a change in the state to what a session is told
connection.py  one socket: hello, identify or resume, heartbeats, requests
server.py      the sessions together, and what can be done to them on demand
"""

from sandbox.gateway.server import Gateway, VoiceSide
from sandbox.gateway.session import Intent

__all__ = ["Gateway", "Intent", "VoiceSide"]
