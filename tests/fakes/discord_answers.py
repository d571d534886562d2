"""What Discord's answers look like: the required fields and types of its public OpenAPI description, as strict models.

Only what the sandbox answers is here. A field that the description does not require is optional, but must have its type
when it is there.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, HttpUrl, StringConstraints

Snowflake = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]*)$", max_length=20)]


def _written(value: object) -> datetime | None:
    if value is None:
        return None
    assert isinstance(value, str)
    moment = datetime.fromisoformat(value)
    assert moment.tzinfo is not None
    return moment


Moment = Annotated[datetime, BeforeValidator(_written)]
Url = Annotated[HttpUrl, BeforeValidator(lambda value: HttpUrl(value) if isinstance(value, str) else value)]


class Answer(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class User(Answer):
    id: Snowflake
    username: str
    discriminator: str
    public_flags: int
    flags: int
    avatar: str | None = None
    bot: bool | None = None
    global_name: str | None = None


class OwnUser(User):
    mfa_enabled: bool
    locale: str
    verified: bool | None = None
    email: str | None = None


class Role(Answer):
    id: Snowflake
    name: str
    permissions: Annotated[str, StringConstraints(pattern=r"^\d+$")]
    position: int
    color: int
    hoist: bool
    managed: bool
    mentionable: bool
    icon: str | None = None
    unicode_emoji: str | None = None


class Member(Answer):
    roles: list[Snowflake]
    joined_at: Moment
    pending: bool
    flags: int
    user: User
    mute: bool
    deaf: bool
    nick: str | None = None
    communication_disabled_until: Moment | None = None


class Guild(Answer):
    id: Snowflake
    name: str
    features: list[str]
    owner_id: Snowflake
    region: str
    afk_timeout: Literal[60, 300, 900, 1800, 3600]
    system_channel_flags: int
    widget_enabled: bool
    verification_level: int
    roles: list[Role]
    default_message_notifications: int
    mfa_level: int
    explicit_content_filter: int
    premium_tier: int
    premium_subscription_count: int
    preferred_locale: str
    premium_progress_bar_enabled: bool
    nsfw: bool
    nsfw_level: int
    emojis: list[Any]
    stickers: list[Any]
    system_channel_id: Snowflake | None = None


class Channel(Answer):
    id: Snowflake
    type: Literal[0, 1, 2, 4]
    flags: int
    last_message_id: Snowflake | None = None
    guild_id: Snowflake | None = None
    name: str | None = None
    position: int | None = None
    bitrate: int | None = None
    user_limit: int | None = None
    recipients: list[User] | None = None


class VoiceState(Answer):
    user_id: Snowflake
    session_id: str
    deaf: bool
    mute: bool
    self_deaf: bool
    self_mute: bool
    self_video: bool
    suppress: bool
    channel_id: Snowflake | None = None
    guild_id: Snowflake | None = None
    member: Member | None = None
    request_to_speak_timestamp: Moment | None = None


class Attachment(Answer):
    id: Snowflake
    filename: str
    size: int
    url: Url
    proxy_url: Url
    width: int | None = None
    height: int | None = None
    duration_secs: float | None = None
    waveform: str | None = None
    description: str | None = None
    content_type: str | None = None
    ephemeral: bool | None = None


class EmbedMedia(Answer):
    url: Url


class EmbedField(Answer):
    name: str
    value: str
    inline: bool


class Embed(Answer):
    type: Literal["rich"]
    title: str | None = None
    description: str | None = None
    color: int | None = None
    image: EmbedMedia | None = None
    thumbnail: EmbedMedia | None = None
    fields: list[EmbedField] | None = None


class Button(Answer):
    type: Literal[2]
    id: int
    style: Literal[1, 2, 3, 4, 5, 6]
    custom_id: str | None = None
    label: str | None = None
    disabled: bool | None = None


class Row(Answer):
    type: Literal[1]
    id: int
    components: list[Button]


class Emoji(Answer):
    id: Snowflake | None
    name: str


class ReactionCounts(Answer):
    burst: int
    normal: int


class Reaction(Answer):
    emoji: Emoji
    count: int
    count_details: ReactionCounts
    burst_colors: list[str]
    me: bool
    me_burst: bool


class InteractionMetadata(Answer):
    id: Snowflake
    type: Literal[2, 3, 5]
    authorizing_integration_owners: dict[str, Snowflake]
    user: User | None = None
    interacted_message_id: Snowflake | None = None
    target_message_id: Snowflake | None = None


class MessageReference(Answer):
    type: int
    channel_id: Snowflake
    message_id: Snowflake | None = None
    guild_id: Snowflake | None = None


class Message(Answer):
    id: Snowflake
    channel_id: Snowflake
    type: Literal[0, 19, 20, 23]
    content: str
    author: User
    mentions: list[User]
    mention_roles: list[Snowflake]
    mention_everyone: bool
    attachments: list[Attachment]
    embeds: list[Embed]
    components: list[Row]
    timestamp: Moment
    edited_timestamp: Moment | None
    flags: int
    pinned: bool
    tts: bool
    reactions: list[Reaction] | None = None
    interaction_metadata: InteractionMetadata | None = None
    message_reference: MessageReference | None = None
    referenced_message: Message | None = None
    webhook_id: Snowflake | None = None
    application_id: Snowflake | None = None


class CallbackInteraction(Answer):
    id: Snowflake
    type: int
    response_message_id: Snowflake | None = None
    response_message_loading: bool | None = None
    response_message_ephemeral: bool | None = None


class CallbackResource(Answer):
    type: int
    message: Message | None = None


class Callback(Answer):
    interaction: CallbackInteraction
    resource: CallbackResource | None = None


class CommandOption(Answer):
    type: int
    name: str
    description: str
    required: bool | None = None
    options: list[CommandOption] | None = None


class Command(Answer):
    id: Snowflake
    application_id: Snowflake
    version: Snowflake
    type: Literal[1, 2, 3]
    name: str
    description: str
    default_member_permissions: str | None
    dm_permission: bool | None = None
    contexts: list[int] | None = None
    integration_types: list[int] | None = None
    nsfw: bool | None = None
    guild_id: Snowflake | None = None
    options: list[CommandOption] | None = None


class SessionStartLimit(Answer):
    total: int
    remaining: int
    reset_after: int
    max_concurrency: int


class GatewayBot(Answer):
    url: str
    shards: int
    session_start_limit: SessionStartLimit


class Application(Answer):
    id: Snowflake
    name: str
    description: str
    verify_key: str
    flags: int
    owner: User
    redirect_uris: list[str]
    explicit_content_filter: int
    bot_public: bool | None = None
    bot: User | None = None


class Error(Answer):
    code: int
    message: str
    errors: dict[str, Any] | None = None


class RateLimited(Answer):
    message: str
    retry_after: float
    is_global: bool = Field(alias="global")
