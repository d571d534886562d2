"""The voice half of the loopback Discord: a voice server that real clients connect to, and people who talk there.

A voice server, whom it lets in, and what is told to it::

    async with VoiceServer(on_speaking=show) as voice:              # wss and UDP on free ports of 127.0.0.1
        ticket = voice.ticket(guild_id=…, channel_id=…, user_id=…, session_id=…)
        # VOICE_SERVER_UPDATE is {"token": ticket.token, "guild_id": …, "endpoint": ticket.endpoint}
        voice.voice_state(guild_id=…, user_id=…, channel_id=… or None, mute=…, deaf=…)   # with every change of it
        context = voice.ssl_context()                                # for the client: it trusts our certificate

Order matters little: a ticket lets its holder in until there is a newer one for the same user and server. A voice state
without a channel, or with another one, disconnects the user with 4014.

A person who talks (`Seats` is how they get their ticket: the sandbox's own, or `DirectSeats` for a bare voice server)::

    async with Speaker(user_id, seats, voice.ssl_context(), pace=1.0) as speaker:
        await speaker.join(channel_id)
        await voice.settled(channel_id)                              # everyone is in one epoch
        frames = await speaker.say(pcm_16k)                          # or a path; the frames that went out
        talk = asyncio.create_task(speaker.say(path)); speaker.mute()  # in mid-word
        await speaker.reconnect()                                    # new SSRC
        await speaker.join(another_channel_id)                       # change of channel
    speaker.spoken                                                   # all of it, for comparison byte for byte

What goes wrong, per receiving user, before or while connected::

    faults = voice.faults(bot_id)                                    # see Faults: op 5, 25, 27, 29 and refusals
    faults.wire.use(WirePlan(seed=7, loss=0.05, reorder=0.02, padding=0.3, extension=0.5, …))
    voice.drain()                                                    # relay what was sent until now
    faults.wire.lost, faults.wire.counters                           # exactly what was taken away
    await voice.close(bot_id, Close.SESSION_TIMEOUT)                 # any close code; 1006 cuts the connection
    voice.calls[channel_id].group.downgrade(); ….upgrade()           # protocol version 0 and back
    voice.hand_on_ssrc(ssrc, user_id)                                # their next session gets an SSRC of another person
    ticket = await voice.move(bot_id)                                # to another endpoint, for VOICE_SERVER_UPDATE
    voice.send_datagram(bot_id, b"anything")                         # from the server's own UDP address
"""

from sandbox.voice.call import SpeakingChange
from sandbox.voice.chorus import Chorus
from sandbox.voice.connection import VoiceTicket
from sandbox.voice.faults import Faults, LostPacket, WirePlan
from sandbox.voice.ops import Close, Op
from sandbox.voice.seats import DirectSeats
from sandbox.voice.server import VoiceServer, VoiceSettings
from sandbox.voice.speaker import Seats, Speaker, SpokenFrame

__all__ = [
    "Chorus",
    "Close",
    "DirectSeats",
    "Faults",
    "LostPacket",
    "Op",
    "Seats",
    "Speaker",
    "SpeakingChange",
    "SpokenFrame",
    "VoiceServer",
    "VoiceSettings",
    "VoiceTicket",
    "WirePlan",
]
