"""The little of MLS (RFC 9420) that a delivery service needs: it proposes, it reads who answers, it holds no secret.

DAVE fixes cipher suite 2 (P-256, AES-128-GCM, SHA-256) and basic credentials that hold the user's id. The server is the
group's *external sender*: it signs Add and Remove proposals, and the members' own libraries check that signature. Of a
commit it reads only the envelope: where it ends, who made it, and which proposals it takes up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

CIPHER_SUITE: Final = 2
_VERSION: Final = 1
_PUBLIC_MESSAGE: Final = 1
_BASIC: Final = 1
_SENDER_MEMBER: Final = 1
_SENDER_EXTERNAL: Final = 2
_CONTENT_PROPOSAL: Final = 2
_CONTENT_COMMIT: Final = 3
_PROPOSAL_ADD: Final = 1
_PROPOSAL_REMOVE: Final = 3
_BY_REFERENCE: Final = 2

T = TypeVar("T")


class MlsError(ValueError):
    """The bytes are not what MLS says they should be."""


def u16(value: int) -> bytes:
    return value.to_bytes(2, "big")


def u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def u64(value: int) -> bytes:
    return value.to_bytes(8, "big")


def vec(data: bytes) -> bytes:
    """MLS's variable-length vector: the length in 1, 2 or 4 bytes, its top two bits saying which (RFC 9420, 2.1.2)."""
    size = len(data)
    if size < 1 << 6:
        return size.to_bytes(1, "big") + data
    if size < 1 << 14:
        return (size | 1 << 14).to_bytes(2, "big") + data
    if size < 1 << 30:
        return (size | 2 << 30).to_bytes(4, "big") + data
    raise MlsError("a vector of more than 2^30 bytes")


class Reader:
    """Reads MLS structures from the front of some bytes; runs past the end as `MlsError`, never silently."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self._data):
            raise MlsError(f"{size} bytes wanted at {self.at}, {len(self._data) - self.at} left")
        piece = self._data[self.at : end]
        self.at = end
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vec(self) -> bytes:
        first = self.number(1)
        extra = {0: 0, 1: 1, 2: 3}.get(first >> 6)
        if extra is None:
            raise MlsError("a vector's length starts with the bits 11")
        size = first & 0x3F
        for _ in range(extra):
            size = size << 8 | self.number(1)
        return self.take(size)

    @property
    def left(self) -> int:
        return len(self._data) - self.at


def reference(label: str, value: bytes) -> bytes:
    """MLS's RefHash over `value` (RFC 9420, 5.2)."""
    return hashlib.sha256(vec(f"MLS 1.0 {label} Reference".encode()) + vec(value)).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPackage:
    """What a client offers so that others can add it to a group."""

    data: bytes
    user_id: int
    ref: bytes


def parse_key_package(data: bytes) -> KeyPackage:
    """Read op 26's body.

    Raises:
        MlsError: not a key package of DAVE's cipher suite with a user's id in it.
    """
    reader = Reader(data)
    if reader.number(2) != _VERSION or reader.number(2) != CIPHER_SUITE:
        raise MlsError("a key package of another version or cipher suite")
    reader.vec()  # init key
    user_id = _leaf_node(reader)
    reader.vec()  # extensions
    reader.vec()  # signature
    if reader.left:
        raise MlsError(f"{reader.left} bytes after the key package")
    return KeyPackage(data=data, user_id=user_id, ref=reference("KeyPackage", data))


def _leaf_node(reader: Reader) -> int:
    reader.vec()  # encryption key
    reader.vec()  # signature key
    if reader.number(2) != _BASIC:
        raise MlsError("a credential that is not basic")
    identity = reader.vec()
    if len(identity) != 8:
        raise MlsError("a credential that is not a user's id")
    for _ in range(5):  # capabilities
        reader.vec()
    source = reader.number(1)
    if source == 1:  # from a key package: its lifetime
        reader.take(16)
    elif source == 3:  # from a commit: the parent's hash
        reader.vec()
    elif source != 2:
        raise MlsError("a leaf node of unknown source")
    reader.vec()  # extensions
    reader.vec()  # signature
    return int.from_bytes(identity, "big")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A signed proposal of the server's."""

    message: bytes
    """The MLSMessage, as it goes into op 27."""
    ref: bytes
    user_id: int
    package_ref: bytes | None = None
    """Of an Add: the reference of the key package."""
    leaf: int | None = None
    """Of a Remove: the leaf."""


class ExternalSender:
    """The server's signing key for one call."""

    def __init__(self, group_id: int, identity: bytes = b"\x00\x01\x01\x00") -> None:
        self._group_id = u64(group_id)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._identity = identity

    def package(self) -> bytes:
        """Op 25's body."""
        point = self._key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        return vec(point) + u16(_BASIC) + vec(self._identity)

    def propose_add(self, epoch: int, package: KeyPackage) -> Proposal:
        message, ref = self._propose(epoch, u16(_PROPOSAL_ADD) + package.data)
        return Proposal(message=message, ref=ref, user_id=package.user_id, package_ref=package.ref)

    def propose_remove(self, epoch: int, user_id: int, leaf: int) -> Proposal:
        message, ref = self._propose(epoch, u16(_PROPOSAL_REMOVE) + u32(leaf))
        return Proposal(message=message, ref=ref, user_id=user_id, leaf=leaf)

    def _propose(self, epoch: int, proposal: bytes) -> tuple[bytes, bytes]:
        content = b"".join(
            (
                vec(self._group_id),
                u64(epoch),
                bytes([_SENDER_EXTERNAL]) + u32(0),  # the first of the group's external senders
                vec(b""),  # authenticated data
                bytes([_CONTENT_PROPOSAL]),
                proposal,
            )
        )
        envelope = u16(_VERSION) + u16(_PUBLIC_MESSAGE)
        signed = vec(b"MLS 1.0 FramedContentTBS") + vec(envelope + content)
        signature = vec(self._key.sign(signed, ec.ECDSA(hashes.SHA256())))
        return envelope + content + signature, reference("Proposal", u16(_PUBLIC_MESSAGE) + content + signature)


def append_message(proposals: Iterable[Proposal]) -> bytes:
    """Op 27's body that hands out proposals."""
    return b"\x00" + vec(b"".join(proposal.message for proposal in proposals))


def revoke_message(refs: Iterable[bytes]) -> bytes:
    """Op 27's body that takes proposals back."""
    return b"\x01" + vec(b"".join(vec(ref) for ref in refs))


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """The envelope of a member's commit, and the welcome that came with it."""

    data: bytes
    """The commit alone, as it goes into op 29."""
    group_id: int
    epoch: int
    leaf: int
    refs: tuple[bytes, ...]
    """The proposals it takes up, in the order in which they apply."""
    welcome: Welcome | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """What lets added members in; each can open only its own secrets."""

    secrets: tuple[tuple[bytes, bytes], ...]
    """Pairs of a key package's reference and the whole entry for it."""
    group_info: bytes

    def for_member(self, ref: bytes) -> bytes:
        """The welcome cut to the one whose key package has this reference: op 30's body.

        Raises:
            MlsError: it does not welcome that member.
        """
        for known, entry in self.secrets:
            if known == ref:
                return u16(CIPHER_SUITE) + vec(entry) + vec(self.group_info)
        raise MlsError("the welcome is for others")


def parse_commit(data: bytes) -> Commit:
    """Split op 28's body into the commit and the welcome that follows it at once.

    Raises:
        MlsError: not a member's commit, or something else after it than a welcome.
    """
    reader = Reader(data)
    if reader.number(2) != _VERSION or reader.number(2) != _PUBLIC_MESSAGE:
        raise MlsError("not a public message")
    group_id = int.from_bytes(reader.vec(), "big")
    epoch = reader.number(8)
    if reader.number(1) != _SENDER_MEMBER:
        raise MlsError("a commit that no member sent")
    leaf = reader.number(4)
    reader.vec()  # authenticated data
    if reader.number(1) != _CONTENT_COMMIT:
        raise MlsError("not a commit")
    refs = tuple(_many(reader.vec(), _proposal_reference))
    if reader.number(1):  # an update path: the committer's new leaf and the nodes above it
        _leaf_node(reader)
        reader.vec()
    reader.vec()  # signature
    reader.vec()  # confirmation tag
    reader.vec()  # membership tag
    end = reader.at
    welcome = _welcome(reader) if reader.left else None
    if reader.left:
        raise MlsError(f"{reader.left} bytes after the welcome")
    return Commit(data=data[:end], group_id=group_id, epoch=epoch, leaf=leaf, refs=refs, welcome=welcome)


def _proposal_reference(reader: Reader) -> bytes:
    if reader.number(1) != _BY_REFERENCE:
        raise MlsError("a proposal of a member's own")
    return reader.vec()


def _welcome(reader: Reader) -> Welcome:
    if reader.number(2) != CIPHER_SUITE:
        raise MlsError("a welcome of another cipher suite")
    secrets = tuple(_many(reader.vec(), _secret))
    return Welcome(secrets=secrets, group_info=reader.vec())


def _secret(reader: Reader) -> tuple[bytes, bytes]:
    ref, kem_output, ciphertext = reader.vec(), reader.vec(), reader.vec()
    return ref, vec(ref) + vec(kem_output) + vec(ciphertext)


def _many(data: bytes, one: Callable[[Reader], T]) -> Iterator[T]:
    reader = Reader(data)
    while reader.left:
        yield one(reader)
