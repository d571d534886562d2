"""``GET /api``: the OpenAPI document as a page that people read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from markupsafe import Markup

from bot.web.openapi import openapi
from bot.web.templating import render

_WORDS: Final = {"integer": "whole number", "string": "text", "boolean": "true or false", "number": "number"}
_FORMATS: Final = {"date-time": "time", "date": "day"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    method: str
    path: str
    summary: str
    takes: tuple[tuple[str, Markup, str], ...]
    """Name, kind and meaning of each query parameter."""
    gives: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    name: str
    about: str
    fields: tuple[tuple[str, Markup, str], ...]


async def page(request: web.Request) -> web.Response:
    document = openapi()
    return render(
        request,
        "api.html",
        addresses=tuple(_addresses(document["paths"])),
        bodies=tuple(_bodies(document["components"]["schemas"])),
    )


def _addresses(paths: Mapping[str, Any]) -> Iterator[Address]:
    for path, methods in paths.items():
        for method, operation in methods.items():
            ((kind, content),) = operation["responses"]["200"]["content"].items()
            asked = [one for one in operation["parameters"] if one["in"] == "query"]
            yield Address(
                method=method.upper(),
                path=path,
                summary=operation["summary"],
                takes=tuple((one["name"], _kind(one["schema"]), one["description"]) for one in asked),
                gives=_kind(content["schema"]) if kind == "application/json" else Markup.escape(kind),
            )


def _bodies(schemas: Mapping[str, Any]) -> Iterator[Body]:
    for name, schema in schemas.items():
        fields = schema.get("properties", {}).items()
        yield Body(
            name=name,
            about=_sentences(schema.get("description", "")),
            fields=tuple((field, _kind(kind), _sentences(kind.get("description", ""))) for field, kind in fields),
        )


def _kind(schema: Mapping[str, Any]) -> Markup:
    """A type in words; another body is a link to it."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Markup('<a href="#{0}">{0}</a>').format(name)
    if "anyOf" in schema:
        return Markup(" or ").join(_kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return Markup(", ").join(Markup("<code>{}</code>").format(value) for value in schema["enum"])
    match schema.get("type"):
        case "array":
            return Markup("list of ") + _kind(schema["items"])
        case "object":
            return Markup("by name: ") + _kind(schema.get("additionalProperties", {}))
        case "null":
            return Markup("null")
        case kind:
            return Markup.escape(_FORMATS.get(schema.get("format", ""), _WORDS.get(str(kind), str(kind))))


def _sentences(text: str) -> str:
    """A docstring without its line ends and its marks of code."""
    return " ".join(text.replace("``", "").replace("`", "").split())
