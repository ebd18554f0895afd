"""The structure of a seed file. Unknown keys are refused. `checks.py` checks references between the parts."""

import re
from datetime import time
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from campaigns.chats.references import shape_problem
from campaigns.policy.duration_limits import HOUR, WEEK, YEAR
from messaging.wire import utc
from notifier.channels.rules import DEFAULT_PATTERNS, pattern_problem
from parser.second_look.senders import senders_of
from texts.words.languages import chosen

MOST = 2_147_483_647  # of a PositiveIntegerField


def _text(longest: int, *, shortest: int = 1, pattern: str | None = None) -> StringConstraints:
    return StringConstraints(
        strip_whitespace=True, min_length=shortest, max_length=longest, pattern=pattern, strict=True
    )


def _number_to_text(value: object) -> object:
    """YAML reads an unquoted marked id as a number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _phone(text: str) -> str:
    plain = re.sub(r"[ ()-]", "", text)
    if not re.fullmatch(r"\+\d{7,15}", plain):
        raise ValueError("is not a phone number in international form: write + and 7 to 15 digits, in quotes")
    return plain


def _reference(text: str) -> str:
    if problem := shape_problem(text):
        raise ValueError(problem)
    return text


def _time(value: object) -> time:
    if isinstance(value, str) and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        return time.fromisoformat(value)
    raise ValueError('is not a time of day: write it like "22:00"')


def _pattern(text: str) -> str:
    if problem := pattern_problem(text):
        raise ValueError(problem)
    return text


def _language(code: str) -> str:
    chosen([code])
    return code


def _link(text: str) -> str:
    if not text or re.fullmatch(r"https?://[^\s/]+\S*", text):
        return text
    raise ValueError("is not a link: a link begins with https:// or http://")


Language = Annotated[str, AfterValidator(_language)]
Slug = Annotated[str, _text(50, pattern=r"^[-a-zA-Z0-9_]+$")]
Phone = Annotated[str, BeforeValidator(_number_to_text), AfterValidator(_phone)]
Reference = Annotated[str, BeforeValidator(_number_to_text), AfterValidator(_reference)]
TimeOfDay = Annotated[time, BeforeValidator(_time)]
Link = Annotated[str, _text(500, shortest=0), AfterValidator(_link)]
Pattern = Annotated[str, _text(120), AfterValidator(_pattern)]
Moment = Annotated[AwareDatetime, AfterValidator(utc)]
Purpose = Literal["script", "first_contact", "reply", "operator"]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class BotPart(Part):
    """`api_id`, `api_hash` and `proxy_url` are for accounts that do not use those of the installation."""

    key: Slug
    phone: Phone
    role: Literal["actor", "parser", "manager"]
    display_name: Annotated[str, _text(100, shortest=0)] = ""
    api_id: Annotated[int, Field(gt=0, le=MOST)] | None = None
    api_hash: Annotated[str, _text(100, shortest=0)] = ""
    proxy_url: Annotated[str, _text(300, shortest=0)] = ""


class PermissionPart(Part):
    """Seeding does not change fields that the file leaves out. Only `valid_until: null` removes an end on record."""

    purpose: Literal["script", "parse", "first_contact"]
    granted_by: Annotated[str, _text(200)]
    granted_at: Moment
    evidence: Annotated[str, _text(10_000)]
    evidence_link: Link = ""
    valid_from: Moment | None = None
    valid_until: Moment | None = None
    members_told: Annotated[str, _text(10_000, shortest=0)] = ""


class ChatPart(Part):
    key: Slug
    telegram: Reference
    title: Annotated[str, _text(200, shortest=0)] = ""
    label: Annotated[str, _text(300, shortest=0)] = ""
    permissions: tuple[PermissionPart, ...] = ()


class BudgetPart(Part):
    scope: Literal["team", "campaign", "bot", "chat", "peer"]
    key: Annotated[str, _text(64, shortest=0), BeforeValidator(_number_to_text)] = ""
    purpose: Purpose | None = None
    counts: Literal["messages", "new_contacts"] = "messages"
    limit: Annotated[int, Field(ge=0, le=MOST)]
    window_seconds: Annotated[int, Field(gt=0, le=YEAR)]


class QuietHoursPart(Part):
    start: TimeOfDay = Field(alias="from")
    end: TimeOfDay = Field(alias="to")


class KeywordsPart(Part):
    """Without `languages`, the language of each word is detected."""

    languages: tuple[Language, ...] = ()
    ignore_diacritics: bool = False
    plus: tuple[Annotated[str, _text(400)], ...] = ()
    minus: tuple[Annotated[str, _text(400)], ...] = ()


class GoldenPart(Part):
    """Messages on which every change of the keywords is tried: `wanted` ones have to be hits, `unwanted` ones not."""

    wanted: tuple[Annotated[str, _text(4096)], ...] = ()
    unwanted: tuple[Annotated[str, _text(4096)], ...] = ()


def _senders(entries: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(senders_of(entries))
    except ValueError as wrong:
        raise ValueError(f'"{wrong}" is neither a Telegram id nor a @username') from None


class SecondLookPart(Part):
    """Without `instructions` the LLM is not asked. The defaults are those of the panel."""

    enabled: bool = True
    least_words: Annotated[int, Field(ge=0, le=32_767)] = 3
    most_characters: Annotated[int, Field(ge=0, le=MOST)] = 1500
    most_links: Annotated[int, Field(ge=0, le=32_767)] | None = 1
    blocked_senders: Annotated[
        tuple[Annotated[str, _text(64), BeforeValidator(_number_to_text)], ...], AfterValidator(_senders)
    ] = ()
    advert_chats: Annotated[int, Field(ge=0, le=1000)] = 4
    instructions: Annotated[str, _text(5000, shortest=0)] = ""
    least_score: Annotated[int, Field(ge=1, le=100)] = 60
    daily_tokens: Annotated[int, Field(ge=0, le=MOST)] = 200_000


class WatchPart(Part):
    bot: Slug
    chats: tuple[Slug, ...]


class LlmPart(Part):
    model: Annotated[str, _text(100, shortest=0)] = ""
    brief: Annotated[str, _text(50_000, shortest=0)] = ""


class LinePart(Part):
    """Replies refer to the line by `key`. With a key, the line keeps its identity when the lines are reordered."""

    key: Slug | None = None
    slot: Annotated[str, _text(50)]
    text: Annotated[str, _text(20_000)]
    reply_to: Slug | None = None
    delay_seconds: Annotated[float, Field(ge=0, le=WEEK)] = 5.0


class ScriptPart(Part):
    """With `seed`, all activations choose the same variants of the lines; without it, each chooses its own."""

    slug: Slug
    name: Annotated[str, _text(200)]
    slots: Annotated[tuple[Annotated[str, _text(50)], ...], Field(min_length=1)]
    lines: Annotated[tuple[LinePart, ...], Field(min_length=1)]
    cast: dict[str, Slug] = {}
    targets: tuple[Slug, ...] = ()
    seed: Annotated[int, Field(gt=0, lt=2**63)] | None = None


class CampaignPart(Part):
    """`state` applies to a new campaign only. Operators start and pause existing campaigns in the panel."""

    slug: Slug
    name: Annotated[str, _text(200)]
    state: Literal["draft", "running"] = "draft"
    time_zone: Annotated[str, _text(64)] = "UTC"
    locale: Literal["en", "ru"] = "en"
    quiet_hours: QuietHoursPart | None = None
    first_contact_interval_seconds: Annotated[int, Field(ge=0, le=WEEK)] = 60
    first_contact_horizon_hours: Annotated[int, Field(ge=1, le=24 * 31)] = 24
    cool_down_days: Annotated[int, Field(ge=0, le=366)] = 0
    reply_quiet_seconds: Annotated[float, Field(ge=0, le=HOUR)] = 5.0
    keywords: KeywordsPart = KeywordsPart()
    golden: GoldenPart = GoldenPart()
    second_look: SecondLookPart | None = None
    watches: tuple[WatchPart, ...] = ()
    managers: tuple[Slug, ...] = ()
    first_contact: Annotated[str, _text(20_000, shortest=0)] = ""
    llm: LlmPart = LlmPart()
    scripts: tuple[ScriptPart, ...] = ()


class ChannelPart(Part):
    name: Annotated[str, _text(100)]
    kind: Literal["file", "webhook", "apprise"]
    address: Annotated[str, _text(2000)]
    events: tuple[Pattern, ...] = DEFAULT_PATTERNS
    enabled: bool = True


class NotifierPart(Part):
    channels: tuple[ChannelPart, ...] = ()


class SeedFile(Part):
    bots: tuple[BotPart, ...] = ()
    chats: tuple[ChatPart, ...] = ()
    budgets: tuple[BudgetPart, ...] = ()
    campaigns: tuple[CampaignPart, ...] = ()
    notifier: NotifierPart = NotifierPart()
