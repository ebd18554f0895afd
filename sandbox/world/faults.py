"""Planned faults: what the server does wrong, for which requests, and how often."""

from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from sandbox.world.entities import CHANNEL_MARK

FaultKind = Literal[
    "FLOOD_WAIT",
    "PHONE_NUMBER_BANNED",
    "PHONE_NUMBER_FLOOD",
    "PHONE_CODE_EXPIRED",
    "PHONE_PASSWORD_FLOOD",
    "PHONE_MIGRATE",
    "LOGIN_TOKEN_MIGRATE",
    "API_ID_INVALID",
    "FROZEN_METHOD_INVALID",
    "UPDATE_LOST",
    "UPDATE_DOUBLED",
    "SLOWMODE_WAIT",
    "PEER_FLOOD",
    "USER_BANNED_IN_CHANNEL",
    "CHANNELS_TOO_MUCH",
    "USER_MIGRATE",
    "DIALOG_MOVES",
    "USER_DEACTIVATED_BAN",
    "CHAT_WRITE_FORBIDDEN",
    "USER_PRIVACY_RESTRICTED",
    "INTERNAL",
    "DROP_ANSWER",
    "HOLD_ANSWER",
    "DELAY_ANSWER",
    "DIFFERENCE_TOO_LONG",
    "AUTH_KEY_DUPLICATED",
]
# Kinds whose error name contains the seconds: FLOOD_WAIT_30.
TIMED: frozenset[str] = frozenset({"FLOOD_WAIT", "SLOWMODE_WAIT"})
# When a fault takes effect:
# - before: before the request is carried out, which is the default
# - after: the request is carried out, but its answer is lost (with or without its connection), or delayed until the
#   faults are cleared
# - difference: the events that a client missed are too many to be sent (private chats and basic groups)
# - token: the QR code's token is valid at another data centre
# - push: an update to `user` is lost or sent twice
# - page: the dialog `chat` moves up between two pages of the list
Stage = Literal["before", "after", "difference", "token", "push", "page"]
STAGES: dict[str, Stage] = {
    "DROP_ANSWER": "after",
    "HOLD_ANSWER": "after",
    "DELAY_ANSWER": "after",
    "DIFFERENCE_TOO_LONG": "difference",
    "LOGIN_TOKEN_MIGRATE": "token",
    "DIALOG_MOVES": "page",
    "UPDATE_LOST": "push",
    "UPDATE_DOUBLED": "push",
}
# Kinds that concern only supergroups. With `times` null the account may write in no supergroup.
OF_SUPERGROUPS: frozenset[str] = frozenset({"USER_BANNED_IN_CHANNEL"})
SENDING = "messages.sendMessage"
ANY_METHOD = "*"
# The methods that faults of these kinds concern by default. The default of all other kinds is sending a message.
USUAL_METHODS: dict[str, str] = {
    "AUTH_KEY_DUPLICATED": ANY_METHOD,
    "USER_DEACTIVATED_BAN": ANY_METHOD,
    "USER_MIGRATE": ANY_METHOD,
    "CHANNELS_TOO_MUCH": "channels.joinChannel",
    "DIALOG_MOVES": "messages.getDialogs",
    "PHONE_NUMBER_BANNED": "auth.sendCode",
    "PHONE_NUMBER_FLOOD": "auth.sendCode",
    "PHONE_MIGRATE": "auth.sendCode",
    "API_ID_INVALID": "auth.sendCode",
    "PHONE_CODE_EXPIRED": "auth.signIn",
    "PHONE_PASSWORD_FLOOD": "auth.checkPassword",
    "LOGIN_TOKEN_MIGRATE": ANY_METHOD,
    "DIFFERENCE_TOO_LONG": ANY_METHOD,
    "UPDATE_LOST": ANY_METHOD,
    "UPDATE_DOUBLED": ANY_METHOD,
}
# Kinds whose error name contains the data centre to which they send a client, OTHER_DC.
MIGRATING: frozenset[str] = frozenset({"PHONE_MIGRATE", "USER_MIGRATE"})
OTHER_DC = 4


class Fault(BaseModel):
    """A planned fault. It concerns the requests that match all given fields.

    `method` is a TL name (`messages.sendMessage`) or `*` for any method; the default depends on the kind. `user` is the
    user who makes the request, logs in or gets an update. `chat` is a marked chat id or a user id. `times` null: until
    the fault is removed.
    """

    model_config = ConfigDict(extra="forbid")

    kind: FaultKind
    method: str | None = None
    user: int | None = None
    chat: int | None = None
    seconds: int = Field(default=30, ge=0)
    times: int | None = Field(default=1, ge=1)

    @field_validator("method")
    @classmethod
    def _not_empty(cls, method: str | None) -> str | None:
        if method is not None and not method.strip():
            raise ValueError("must not be empty; leave it out, or give *")
        return method

    @property
    def error_name(self) -> str:
        if self.kind in MIGRATING:
            return f"{self.kind}_{OTHER_DC}"
        return f"{self.kind}_{self.seconds}" if self.kind in TIMED else self.kind

    def concerns(self, *, method: str, user: int | None, chat: int | None) -> bool:
        wanted = self.method or USUAL_METHODS.get(self.kind, SENDING)
        return (
            (wanted == ANY_METHOD or wanted.lower() == method.lower())
            and self.user in (None, user)
            and self.chat in (None, chat)
            and (self.kind not in OF_SUPERGROUPS or (chat is not None and chat < -CHANNEL_MARK))
        )


class FaultBook:
    """The planned faults. They are used in the order in which they were planned."""

    def __init__(self) -> None:
        self._planned: dict[int, Fault] = {}
        self._numbers = count(1)
        self._delayed: list[Callable[[], None]] = []

    def plan(self, fault: Fault) -> int:
        """Add a fault. Returns its number."""
        number = next(self._numbers)
        self._planned[number] = fault.model_copy()
        return number

    def take(self, *, method: str, user: int | None, chat: int | None, stage: Stage = "before") -> Fault | None:
        """Use the fault that concerns this request or update at this stage. Returns None if there is none."""
        for number, fault in self._planned.items():
            if STAGES.get(fault.kind, "before") == stage and fault.concerns(method=method, user=user, chat=chat):
                self._count_down(number, fault)
                return fault
        return None

    @property
    def delayed(self) -> int:
        """The number of delayed answers."""
        return len(self._delayed)

    def delay(self, answer: Callable[[], None]) -> None:
        """Call `answer` when the faults are cleared."""
        self._delayed.append(answer)

    def clear(self) -> None:
        self._planned.clear()
        delayed, self._delayed = self._delayed, []
        for answer in delayed:
            answer()

    def as_json(self) -> list[dict[str, Any]]:
        return [{"number": number, **fault.model_dump()} for number, fault in self._items()]

    def _items(self) -> Iterable[tuple[int, Fault]]:
        return list(self._planned.items())

    def _count_down(self, number: int, fault: Fault) -> None:
        if fault.times is None:
            return
        fault.times -= 1
        if fault.times == 0:
            del self._planned[number]
