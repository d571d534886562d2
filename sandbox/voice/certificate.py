"""A certificate for this machine, made when the sandbox starts and gone when it ends.

discord.py knows no voice gateway without TLS, so the sandbox needs a certificate, and the client needs to trust its
authority. That is never installed anywhere: whoever connects is handed a context that trusts it besides the usual ones.
"""

from __future__ import annotations

import ssl

import trustme


class Certificate:
    """A certificate for ``localhost`` and 127.0.0.1, and the authority that signed it."""

    def __init__(self) -> None:
        self._authority = trustme.CA()
        self._signed = self._authority.issue_cert("localhost", "127.0.0.1")

    @property
    def authority_pem(self) -> bytes:
        """What a client in another process has to trust."""
        return self._authority.cert_pem.bytes()

    def server_context(self) -> ssl.SSLContext:
        """What the server listens with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._signed.configure_cert(context)
        return context

    def client_context(self) -> ssl.SSLContext:
        """What a client connects with."""
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        return context
