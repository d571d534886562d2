"""Discord's error answers: a status, a code and a sentence, as REST clients know them.

ApiError
├── codes of their own: see the functions below, each named for what happened
└── invalid_form: 400 with the tree of what is wrong with which field
"""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """An answer other than success; `errors` is the tree of field errors of an invalid form."""

    def __init__(self, status: int, code: int, message: str, *, errors: dict[str, Any] | None = None) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.errors = errors

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"message": self.message, "code": self.code}
        if self.errors:
            body["errors"] = self.errors
        return body


def unauthorized() -> ApiError:
    return ApiError(401, 0, "401: Unauthorized")


def not_found() -> ApiError:
    return ApiError(404, 0, "404: Not Found")


def method_not_allowed() -> ApiError:
    return ApiError(405, 0, "405: Method Not Allowed")


def unknown(what: str, code: int) -> ApiError:
    return ApiError(404, code, f"Unknown {what}")


def unknown_channel() -> ApiError:
    return unknown("Channel", 10003)


def unknown_guild() -> ApiError:
    return unknown("Guild", 10004)


def unknown_member() -> ApiError:
    return unknown("Member", 10007)


def unknown_message() -> ApiError:
    return unknown("Message", 10008)


def unknown_user() -> ApiError:
    return unknown("User", 10013)


def unknown_emoji() -> ApiError:
    return ApiError(400, 10014, "Unknown Emoji")


def unknown_webhook() -> ApiError:
    return unknown("Webhook", 10015)


def unknown_interaction() -> ApiError:
    return unknown("interaction", 10062)


def unknown_command() -> ApiError:
    return unknown("application command", 10063)


def unknown_voice_state() -> ApiError:
    return unknown("Voice State", 10065)


def missing_access() -> ApiError:
    return ApiError(403, 50001, "Missing Access")


def missing_permissions() -> ApiError:
    return ApiError(403, 50013, "Missing Permissions")


def not_the_author() -> ApiError:
    return ApiError(403, 50005, "Cannot edit a message authored by another user")


def empty_message() -> ApiError:
    return ApiError(400, 50006, "Cannot send an empty message")


def cannot_message_user() -> ApiError:
    return ApiError(403, 50007, "Cannot send messages to this user")


def wrong_channel_type() -> ApiError:
    return ApiError(400, 50024, "Cannot execute action on this channel type")


def invalid_webhook_token() -> ApiError:
    return ApiError(401, 50027, "Invalid Webhook Token")


def already_acknowledged() -> ApiError:
    return ApiError(400, 40060, "Interaction has already been acknowledged.")


def not_in_voice() -> ApiError:
    return ApiError(400, 40032, "Target user is not connected to voice.")


def too_large() -> ApiError:
    return ApiError(413, 40005, "Request entity too large")


def broken_body() -> ApiError:
    return ApiError(400, 0, "The body is broken: it ends early, or is not what its headers say.")


def too_slow() -> ApiError:
    return ApiError(408, 0, "The body did not arrive in time.")


def invalid_json() -> ApiError:
    return ApiError(400, 50109, "The request body contains invalid JSON.")


def too_many_late_edits() -> ApiError:
    return ApiError(429, 30046, "Maximum number of edits to messages older than 1 hour reached. Try again later.")


def invalid_form(errors: dict[str, Any]) -> ApiError:
    """`errors` as Discord nests it: ``{"embeds": {"0": {"title": {"_errors": [{"code", "message"}]}}}}``."""
    return ApiError(400, 50035, "Invalid Form Body", errors=errors)


def invalid_field(path: str, code: str, message: str) -> ApiError:
    """One field error; `path` is dotted, as in ``embeds.0.title``."""
    return invalid_form(field_errors([(path, code, message)]))


def field_errors(found: list[tuple[str, str, str]]) -> dict[str, Any]:
    """The tree for (dotted path, code, message) triples."""
    tree: dict[str, Any] = {}
    for path, code, message in found:
        node = tree
        for part in path.split("."):
            node = node.setdefault(part, {})
        node.setdefault("_errors", []).append({"code": code, "message": message})
    return tree
