"""Domain events as they travel over the bus: facts with ids, named in the past tense.

An event's class declares the exchange and the routing key under which it is published. When a message arrives, its
exchange and routing key select the class. The body (flat JSON) does not name the class, because other programs that
publish do not know these classes.
"""

import re
import string
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from messaging import wire
from messaging.broker import topology
from texts.json_text import from_json

# The namespace of the ids that `event_id` makes for messages without an id. If it changed, copies of messages that have
# been handled already would get new ids and be handled again.
_ID_NAMESPACE = uuid.UUID("6f1f2c0e-0d5c-5f0e-9d6e-6d1b7f0f5a11")

# The size of the caches by routing key. Few keys are in use at a time: the leads of a campaign share one key, and so do
# the reports of a service.
_KEYS_REMEMBERED = 1024
# The key of a class that fits every routing key, as `#` does in a topic pattern.
_ANY_KEY = "#"
# Events have ids and facts only, so a body of more than a megabyte is a mistake of its publisher. Larger bodies are
# neither sent nor read.
MAX_BODY_BYTES = 1_048_576


class UndecodableMessage(Exception):
    """The message is not an event that this release supports. The exception's text is the reason."""


def _now() -> datetime:
    return datetime.now(UTC)


class Event(BaseModel):
    """Base of all events.

    `class NewLead(Event, exchange=topology.LEADS_EXCHANGE, key="lead.{campaign_id}")` declares where the event is
    published. A key may contain fields, such as `{campaign_id}`. Pass `service` if the publisher is not the key's first
    word. A class with `fallback` is used for keys that fit no other class; the key `#` fits every key. Unknown fields
    in a body are ignored.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    _exchange: ClassVar[str] = ""
    _key: ClassVar[str] = ""
    _publisher: ClassVar[str] = ""
    _fallback: ClassVar[bool] = False

    id: uuid.UUID = Field(default_factory=uuid.uuid4)
    created_at: wire.Time = Field(default_factory=_now)

    # Set only if the routing key with which the event arrived differs from the key that its fields give.
    _arrival_key: str | None = PrivateAttr(None)

    def __init_subclass__(
        cls, *, exchange: str = "", key: str = "", service: str = "", fallback: bool = False, **kwargs: Any
    ) -> None:
        super().__init_subclass__(**kwargs)
        if not exchange and not key:
            return
        cls._exchange, cls._key, cls._publisher, cls._fallback = exchange, key, service, fallback
        _registry.append(cls)

    @classmethod
    def exchange_name(cls) -> str:
        return cls._exchange

    @property
    def routing_key(self) -> str:
        """The key under which the event is published, made from the key of its class and its fields."""
        values = {name: getattr(self, name) for name in _key_fields(self._key)}
        return self._key.format(**values)

    @property
    def publisher(self) -> str:
        """The service that published the event, for statistics."""
        return self._publisher or self.routing_key.partition(".")[0]

    @property
    def arrived_under(self) -> str:
        """The routing key of the message that carried the event.

        `routing_key` may differ from it, because another program may put any text into the field `service`.
        """
        return self.routing_key if self._arrival_key is None else self._arrival_key

    def _arrive(self, routing_key: str) -> None:
        if routing_key != self.routing_key:
            self._arrival_key = routing_key

    def to_json(self) -> str:
        """The message body: one flat JSON object."""
        return self.model_dump_json()


_registry: list[type[Event]] = []


class ServiceStartedEvent(Event, exchange=topology.EVENTS_EXCHANGE, key="{service}.started"):
    service: wire.ServiceName


class ServiceErrorEvent(Event, exchange=topology.EVENTS_EXCHANGE, key="{service}.error"):
    service: wire.ServiceName
    reason: str


class ServiceCrashedEvent(Event, exchange=topology.EVENTS_EXCHANGE, key="{service}.crash"):
    service: wire.ServiceName
    reason: str


class DeadLetterKept(Event, exchange=topology.EVENTS_EXCHANGE, key="{service}.dead_letter"):
    """A message could not be handled and waits for an operator. `queue` is empty if the message was unroutable."""

    service: wire.ServiceName
    queue: str
    letter_id: int
    reason: str


def decode(
    exchange: str,
    routing_key: str,
    body: bytes,
    *,
    message_id: str | None = None,
    assumed: type[Event] | None = None,
) -> Event:
    """Decode `body` into an event of the class that is published to this exchange under this key.

    If the body has no id, the event gets a stable one (see `event_id`); if it has no `created_at`, the current time.
    Pass the class as `assumed` if the exchange and key do not identify one; then all fields come from the body.
    Raises `UndecodableMessage`.
    """
    fields = _parse(body)
    if fields.get("id") is None:
        fields["id"] = event_id(exchange, routing_key, body, message_id=message_id)
    if fields.get("created_at") is None:
        fields.pop("created_at", None)
    if assumed is not None:
        return _validated(assumed, fields)
    cls = _pick(exchange, routing_key, fields)
    if problem := wire.unfit_key(routing_key):
        raise UndecodableMessage(f"the routing key {problem}")
    event = _validated(cls, {**_key_words(cls, routing_key), **fields})
    event._arrive(routing_key)
    return event


def known_keys(exchange: str) -> list[str]:
    """The key patterns of the event classes that are published to an exchange: `lead.{campaign_id}`."""
    return list(dict.fromkeys(cls._key for cls in _registry if cls._exchange == exchange and not cls._fallback))


def is_known(exchange: str, routing_key: str) -> bool:
    return bool(_fitting(exchange, routing_key, len(_registry)))


def key_words(exchange: str, routing_key: str) -> Mapping[str, str]:
    """The fields that a known event's routing key contains: `campaign_id` in `lead.{campaign_id}`."""
    fitting = _fitting(exchange, routing_key, len(_registry))
    return _key_words(fitting[-1], routing_key) if fitting else {}


def check_version(headers: Mapping[str, Any]) -> None:
    """Raises `UndecodableMessage` for a later major version than this one, or an unreadable version header."""
    version = headers.get(topology.VERSION_HEADER)
    if version is None:
        return
    major = str(version).partition(".")[0]
    if not (major.isascii() and major.isdecimal()):
        raise UndecodableMessage(f"the header {topology.VERSION_HEADER} is not a version: {str(version)[:40]!r}")
    if int(major[:10]) > topology.MAJOR_VERSION:
        raise UndecodableMessage(
            f"the message has version {major[:10]}; the highest supported version is {topology.MAJOR_VERSION}"
        )


def event_id(exchange: str, routing_key: str, body: bytes, *, message_id: str | None = None) -> uuid.UUID:
    """The id of an event, even if its body cannot be decoded.

    It is the id in the body, or AMQP's message id, or a UUID derived from the exchange, the key and the content.
    """
    try:
        own = _parse(body).get("id")
    except UndecodableMessage:
        own = None
    for text in (own, message_id):
        if isinstance(text, str):
            try:
                return uuid.UUID(text)
            except ValueError:
                continue
    name = f"{exchange}\0{routing_key}\0{message_id or body!r}"
    # AMQP's short strings may contain lone surrogates.
    return uuid.uuid5(_ID_NAMESPACE, name.encode("utf-8", "backslashreplace").decode())


def _validated(cls: type[Event], fields: dict[str, Any]) -> Event:
    if problem := _unstorable(cls, fields):
        raise UndecodableMessage(f"not a {cls.__name__}: {problem}")
    try:
        return cls.model_validate(fields)
    except ValidationError as invalid:
        raise UndecodableMessage(f"not a {cls.__name__}: {_summary(invalid)}") from None


def _parse(body: bytes) -> dict[str, Any]:
    if not body:
        raise UndecodableMessage("the body is empty")
    if len(body) > MAX_BODY_BYTES:
        raise UndecodableMessage(f"the body has {len(body)} bytes; the maximum is {MAX_BODY_BYTES}")
    try:
        fields = from_json(body.decode("utf-8"))
    except UnicodeDecodeError as problem:
        raise UndecodableMessage(f"the body is not UTF-8: {problem.reason} at byte {problem.start}") from None
    except (ValueError, RecursionError) as problem:
        raise UndecodableMessage(f"the body is not JSON: {problem}") from None
    if not isinstance(fields, dict):
        raise UndecodableMessage(f"the body is JSON, but not an object: {type(fields).__name__}")
    return fields


def _pick(exchange: str, routing_key: str, fields: dict[str, Any]) -> type[Event]:
    """The class of the event with this key and these fields.

    Several classes may fit a key (`scripts.started`). The result is the most specific class whose fields the body has.
    If there is none, the result is the most specific class that fits the key.
    """
    fitting = _fitting(exchange, routing_key, len(_registry))
    if not fitting:
        raise UndecodableMessage(f"no event has the routing key {routing_key!r} on the exchange {exchange!r}")
    return next((cls for cls in fitting if _has_fields_of(cls, routing_key, fields)), fitting[0])


@lru_cache(_KEYS_REMEMBERED)
def _fitting(exchange: str, routing_key: str, known: int) -> Sequence[type[Event]]:
    """The classes that fit a key, the most specific first.

    `known` is the number of registered classes. It is part of the cache key: another class may change the result.
    """
    fitting = [cls for cls in _registry if cls._exchange == exchange and _key_pattern(cls).fullmatch(routing_key)]
    # If another class fits the key, a body without its required fields is invalid and not an event of the fallback
    # class.
    fitting = [cls for cls in fitting if not cls._fallback] or fitting
    return sorted(fitting, key=lambda cls: len(_key_fields(cls._key)))


def _has_fields_of(cls: type[Event], routing_key: str, fields: dict[str, Any]) -> bool:
    """Whether the body has a required field of this class, or the key contains all required fields."""
    needed = _required(cls) - _key_words(cls, routing_key).keys()
    return not needed or not needed.isdisjoint(fields)


def _unstorable(cls: type[Event], fields: Mapping[str, Any]) -> str:
    """The fields of this event that the database could not store, with the reasons; "" if there are none."""
    keeps_all = cls.model_config.get("extra") == "allow"
    read = {name: value for name, value in fields.items() if keeps_all or name in cls.model_fields}
    found = [(name, wire.unstorable(name) or wire.unstorable(value)) for name, value in read.items()]
    return "; ".join(f"{wire.storable(name)[:60]}: {why}" for name, why in found if why)


@lru_cache(_KEYS_REMEMBERED)
def _key_words(cls: type[Event], routing_key: str) -> Mapping[str, str]:
    """The fields that the routing key contains. Other programs may leave them out of the body."""
    found = _key_pattern(cls).fullmatch(routing_key)
    return dict(zip(_key_fields(cls._key), found.groups(), strict=True)) if found else {}


@cache
def _required(cls: type[Event]) -> set[str]:
    return {name for name, info in cls.model_fields.items() if info.is_required()}


@cache
def _key_fields(key: str) -> list[str]:
    return [name for _, name, _, _ in string.Formatter().parse(key) if name]


@cache
def _key_pattern(cls: type[Event]) -> re.Pattern[str]:
    if cls._key == _ANY_KEY:
        return re.compile(".*", re.DOTALL)
    parts = [re.escape(text) + (r"([^.]+)" if name else "") for text, name, _, _ in string.Formatter().parse(cls._key)]
    return re.compile("".join(parts))


def _summary(problem: ValidationError) -> str:
    """The fields and reasons of a validation error, without the values: these may be a person's private messages."""
    return "; ".join(
        f"{'.'.join(map(str, error['loc'])) or 'body'}: {error['msg'].removeprefix('Value error, ')}"
        for error in problem.errors()
    )
