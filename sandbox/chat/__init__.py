"""The demo's chat page: the simulated server as a person sees it, live, with buttons that can be pressed.

view.py    the state, written for the page
stream.py  what changes, as server-sent events
routes.py  the page, its files, and what a visitor can do as one of the people
typed.py   slash commands as a person types them
"""

from sandbox.chat.routes import Chat, mount

__all__ = ["Chat", "mount"]
