"""A certificate for ``localhost``, made when the sandbox starts and gone when it ends.

discord.py knows no voice gateway without TLS, so the sandbox needs a certificate, and the client needs to trust it. It
is never installed anywhere: whoever connects is handed a context that trusts this one certificate.
"""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A self-signed certificate for ``localhost`` and 127.0.0.1, and its key, both as PEM."""

    certificate_pem: bytes
    key_pem: bytes

    def server_context(self) -> ssl.SSLContext:
        """What the server listens with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # The ssl module reads keys from files only; this one lives in a folder of ours for as long as that takes.
        with tempfile.TemporaryDirectory(prefix="undertone-") as folder:
            path = Path(folder) / "both.pem"
            path.touch(mode=0o600)
            path.write_bytes(self.key_pem + self.certificate_pem)
            context.load_cert_chain(path)
        return context

    def client_context(self) -> ssl.SSLContext:
        """What a client connects with: it trusts this certificate besides the usual ones."""
        context = ssl.create_default_context()
        context.load_verify_locations(cadata=self.certificate_pem.decode("ascii"))
        return context


def make_certificate() -> Certificate:
    """A new key and a certificate of it, valid for 30 days."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Undertone's loopback Discord")])
    now = datetime.now(UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Certificate(
        certificate_pem=certificate.public_bytes(serialization.Encoding.PEM),
        key_pem=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )
