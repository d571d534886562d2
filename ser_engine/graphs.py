"""Reading and writing ONNX files without the package of that name, which serving does not install.

An ONNX file is one protocol-buffer message. Of it a `Graph` holds what a rewriting needs: the nodes, the constants as
arrays, and everything else as the bytes it was. Field numbers are those of ``onnx.proto``, which never change.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Value = int | bytes
Attribute = int | float | str | tuple[int, ...]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_GRAPH: Final = 7
_OPSET: Final = 8
_OUTPUT: Final = 12
_DTYPES: Final[dict[int, np.dtype[Any]]] = {
    1: np.dtype("<f4"),
    2: np.dtype("u1"),
    3: np.dtype("i1"),
    6: np.dtype("<i4"),
    7: np.dtype("<i8"),
    10: np.dtype("<f2"),
}
_CODES: Final = {dtype: code for code, dtype in _DTYPES.items()}
_FLOAT, _INT, _STRING, _INTS = 1, 2, 3, 7


@dataclass(slots=True, kw_only=True)
class Node:
    """One operator of a graph."""

    operator: str
    inputs: list[str]
    outputs: list[str]
    domain: str = ""
    attributes: dict[str, bytes] = field(default_factory=dict)
    """By name, each as its message's bytes."""

    def ints(self, name: str) -> tuple[int, ...]:
        """An attribute that is a list of integers; empty where it is absent."""
        found: list[int] = []
        for number, value in _fields(self.attributes.get(name, b"")):
            if number == 8:
                found += [_signed(value)] if isinstance(value, int) else [_signed(v) for v in _packed(value)]
        return tuple(found)


@dataclass(slots=True, kw_only=True)
class Graph:
    """A network: what can be changed, and what is kept as it was."""

    nodes: list[Node]
    constants: dict[str, NDArray[np.generic]]
    domains: set[str]
    """Operator sets beyond ONNX's own."""
    _model: list[tuple[int, Value]]
    _graph: list[tuple[int, Value]]

    @classmethod
    def from_bytes(cls, data: bytes) -> Graph:
        """Raises ValueError for what is no ONNX file, or holds what is not understood here."""
        model = list(_fields(data))
        (body,) = [value for number, value in model if number == _GRAPH and isinstance(value, bytes)]
        rest = list(_fields(body))
        constants = dict(_tensor(value) for number, value in rest if number == 5 and isinstance(value, bytes))
        return cls(
            nodes=[_node(value) for number, value in rest if number == 1 and isinstance(value, bytes)],
            constants=constants,
            domains=set(),
            _model=[one for one in model if one[0] != _GRAPH],
            _graph=[one for one in rest if one[0] not in (1, 5, 13)],
        )

    def also_give(self, names: Iterable[str]) -> None:
        """Values that the graph gives besides its own outputs, in the order of their names."""
        made_here = by_output(self.nodes)
        self._graph += [(_OUTPUT, _field(1, name.encode())) for name in sorted(names) if name in made_here]

    def to_bytes(self) -> bytes:
        """The file; the same graph gives the same bytes."""
        used = {name for node in self.nodes for name in node.inputs}
        body = b"".join(_field(1, _node_bytes(node)) for node in self.nodes)
        body += b"".join(_field(number, value) for number, value in self._graph)
        body += b"".join(_field(5, _tensor_bytes(n, array)) for n, array in self.constants.items() if n in used)
        sets = b"".join(_field(_OPSET, _field(1, name.encode()) + _field(2, 1)) for name in sorted(self.domains))
        return b"".join(_field(number, value) for number, value in self._model) + sets + _field(_GRAPH, body)


def made(operator: str, inputs: list[str], outputs: list[str], *, domain: str = "", **attributes: Attribute) -> Node:
    """A new node."""
    packed = {name: _attribute(name, value) for name, value in attributes.items()}
    return Node(operator=operator, inputs=inputs, outputs=outputs, domain=domain, attributes=packed)


def _attribute(name: str, value: Attribute) -> bytes:
    head = _field(1, name.encode())
    match value:
        case int():
            return head + _field(3, value) + _field(20, _INT)
        case float():
            return head + bytes([2 << 3 | _FIXED32]) + struct.pack("<f", value) + _field(20, _FLOAT)
        case str():
            return head + _field(4, value.encode()) + _field(20, _STRING)
        case _:
            return head + b"".join(_field(8, one) for one in value) + _field(20, _INTS)


def _node(data: bytes) -> Node:
    node = Node(operator="", inputs=[], outputs=[])
    for number, value in _fields(data):
        if not isinstance(value, bytes):
            raise ValueError("a node is not as it should be")
        match number:
            case 1:
                node.inputs.append(value.decode())
            case 2:
                node.outputs.append(value.decode())
            case 4:
                node.operator = value.decode()
            case 5:
                node.attributes[next(v for n, v in _fields(value) if n == 1 and isinstance(v, bytes)).decode()] = value
            case 7:
                node.domain = value.decode()
            case _:
                continue
    return node


def _node_bytes(node: Node) -> bytes:
    out = b"".join(_field(1, name.encode()) for name in node.inputs)
    out += b"".join(_field(2, name.encode()) for name in node.outputs)
    out += _field(4, node.operator.encode())
    out += b"".join(_field(5, value) for value in node.attributes.values())
    return out + (_field(7, node.domain.encode()) if node.domain else b"")


def _tensor(data: bytes) -> tuple[str, NDArray[np.generic]]:
    shape, code, name, raw = list[int](), 0, "", None
    for number, value in _fields(data):
        if number == 1:
            shape += [value] if isinstance(value, int) else _packed(value)
        elif number == 2 and isinstance(value, int):
            code = value
        elif number == 8 and isinstance(value, bytes):
            name = value.decode()
        elif number == 9 and isinstance(value, bytes):
            raw = value
    if raw is None or code not in _DTYPES:
        raise ValueError(f"the constant {name} is not kept as plain bytes of a known kind")
    return name, np.frombuffer(raw, _DTYPES[code]).reshape(shape)


def _tensor_bytes(name: str, array: NDArray[np.generic]) -> bytes:
    shape = b"".join(_field(1, size) for size in array.shape)
    return shape + _field(2, _CODES[array.dtype]) + _field(8, name.encode()) + _field(9, array.tobytes())


def _fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Field numbers and values of a message; fixed-size numbers come as their bytes."""
    at, view = 0, memoryview(data)
    while at < len(data):
        key, at = _varint(view, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            whole, at = _varint(view, at)
            yield number, whole
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(kind)
        if kind == _BYTES:
            size, at = _varint(view, at)
        if size is None or at + size > len(data):
            raise ValueError("not a protocol-buffer message")
        if kind == _BYTES:
            yield number, bytes(view[at : at + size])
        at += size


def _packed(data: bytes) -> list[int]:
    at, out, view = 0, list[int](), memoryview(data)
    while at < len(data):
        value, at = _varint(view, at)
        out.append(value)
    return out


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(view) or shift > 63:
            raise ValueError("not a protocol-buffer message")
        byte = view[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _field(number: int, value: Value) -> bytes:
    if isinstance(value, bytes):
        return _varint_bytes(number << 3 | _BYTES) + _varint_bytes(len(value)) + value
    return _varint_bytes(number << 3 | _VARINT) + _varint_bytes(value % (1 << 64))


def _varint_bytes(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def by_output(nodes: list[Node]) -> Mapping[str, Node]:
    """The node that makes each value."""
    return {name: node for node in nodes for name in node.outputs}
