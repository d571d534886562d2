"""What a client may send: messages and embeds, with Discord's limits, and errors in Discord's form.

Limits are those of Discord's documentation; a form that breaks one is refused with 50035 and the field's path.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from sandbox import errors
from sandbox.models import Json

CONTENT_LIMIT: Final = 2_000
EMBEDS_LIMIT: Final = 10
EMBED_TOTAL_LIMIT: Final = 6_000
"""Characters of all embeds of a message together."""
ATTACHMENTS_LIMIT: Final = 10
UPLOAD_LIMIT_BYTES: Final = 10 * 1024 * 1024
"""Of one file of a bot, in a server without boosts."""
PERSON_UPLOAD_LIMIT_BYTES: Final = 50 * 1024 * 1024
"""Of one file of a person with a paid account."""
SETTABLE_FLAGS: Final = 1 << 2 | 1 << 12 | 1 << 13 | 1 << 15

M = TypeVar("M", bound=BaseModel)


def parse(model: type[M], data: Any) -> M:
    """Validate `data`.

    Raises:
        ApiError: 50035 with the tree of field errors.
    """
    try:
        return model.model_validate(data)
    except ValidationError as invalid:
        raise errors.invalid_form(errors.field_errors([_describe(dict(e)) for e in invalid.errors()])) from None


def _describe(error: dict[str, Any]) -> tuple[str, str, str]:
    path = ".".join(str(part) for part in error["loc"]) or "_root"
    context = error.get("ctx", {})
    match error["type"]:
        case "missing":
            return path, "BASE_TYPE_REQUIRED", "This field is required"
        case "string_too_long" | "too_long":
            limit = context.get("max_length")
            return path, "BASE_TYPE_MAX_LENGTH", f"Must be {limit} or fewer in length."
        case "string_too_short" | "too_short":
            limit = context.get("min_length")
            return path, "BASE_TYPE_MIN_LENGTH", f"Must be {limit} or more in length."
        case "string_pattern_mismatch":
            return path, "STRING_TYPE_REGEX", "String value did not match validation regex."
        case _:
            return path, "BASE_TYPE_BAD", str(error["msg"])


def _known_scheme(url: str) -> str:
    if not url.startswith(("http://", "https://", "attachment://")):
        raise ValueError("Scheme must be one of ('http', 'https', 'attachment').")
    return url


Url = Annotated[str, StringConstraints(max_length=2_048), AfterValidator(_known_scheme)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Media(_Form):
    url: Url


class _Footer(_Form):
    text: str = Field(min_length=1, max_length=2_048)
    icon_url: Url | None = None


class _Author(_Form):
    name: str = Field(min_length=1, max_length=256)
    url: Url | None = None
    icon_url: Url | None = None


class _EmbedField(_Form):
    name: str = Field(min_length=1, max_length=256)
    value: str = Field(min_length=1, max_length=1_024)
    inline: bool = False


class Embed(_Form):
    title: str | None = Field(default=None, max_length=256)
    description: str | None = Field(default=None, max_length=4_096)
    url: Url | None = None
    timestamp: datetime | None = None
    color: int | None = Field(default=None, ge=0, le=0xFFFFFF)
    footer: _Footer | None = None
    image: _Media | None = None
    thumbnail: _Media | None = None
    author: _Author | None = None
    fields: list[_EmbedField] = Field(default_factory=list, max_length=25)

    def characters(self) -> int:
        texts = [self.title, self.description, self.footer and self.footer.text, self.author and self.author.name]
        return sum(len(text) for text in texts if text) + sum(len(f.name) + len(f.value) for f in self.fields)

    def stored(self) -> Json:
        return {"type": "rich"} | self.model_dump(mode="json", exclude_none=True)


class AttachmentSlot(_Form):
    """A file that is kept (its snowflake) or uploaded (its number in the upload)."""

    id: int
    filename: str | None = None
    description: str | None = Field(default=None, max_length=1_024)
    duration_secs: float | None = None
    waveform: str | None = None


class _Reference(_Form):
    message_id: int
    fail_if_not_exists: bool = True


class AllowedMentions(_Form):
    parse: list[str] = Field(default_factory=list)
    users: list[int] = Field(default_factory=list, max_length=100)
    roles: list[int] = Field(default_factory=list, max_length=100)
    replied_user: bool = False


class MessageForm(_Form):
    """A message to post, or the fields of one to edit; what was not given is in `model_fields_set`'s complement."""

    content: str | None = Field(default=None, max_length=CONTENT_LIMIT)
    embeds: list[Embed] | None = Field(default=None, max_length=EMBEDS_LIMIT)
    components: list[Json] | None = None
    attachments: list[AttachmentSlot] | None = Field(default=None, max_length=ATTACHMENTS_LIMIT)
    message_reference: _Reference | None = None
    allowed_mentions: AllowedMentions | None = None
    flags: int | None = None
    nonce: str | int | None = None
    enforce_nonce: bool = False
    tts: bool = False

    def check_embeds(self) -> None:
        """Refuse embeds that are too long together, or empty."""
        total = 0
        for index, embed in enumerate(self.embeds or []):
            total += embed.characters()
            if not embed.characters() and not embed.image and not embed.thumbnail:
                raise errors.invalid_field(
                    f"embeds.{index}.description", "BASE_TYPE_REQUIRED", "This field is required"
                )
        if total > EMBED_TOTAL_LIMIT:
            raise errors.invalid_field(
                "embeds", "MAX_EMBED_SIZE_EXCEEDED", f"Embed size exceeds maximum size of {EMBED_TOTAL_LIMIT}"
            )
