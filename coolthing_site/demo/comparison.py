"""Compares each message in the sandbox with the ledger of deliveries."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class LedgerMessage:
    """An outgoing message, as recorded in the sandbox or in the ledger.

    `peer` is a marked chat id or a user id. `message_id` is the id in the sender's account. `reply_to` is the
    `random_id` of the outgoing message to which it replies, or None.
    """

    random_id: int
    sender: int
    peer: int
    text: str
    message_id: int
    reply_to: int | None


@dataclass(frozen=True)
class Comparison:
    """`missing`: messages that only the ledger has as sent. `unexpected`: messages that only the sandbox has."""

    matched: int
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)

    @property
    def matches(self) -> bool:
        return not (self.missing or self.unexpected or self.different or self.duplicates)


def sent_by(accounts: set[int], entries: Iterable[Mapping[str, Any]]) -> list[LedgerMessage]:
    """The messages that `accounts` sent, from the entries of the sandbox (`GET /ledger`)."""
    entries = list(entries)
    random_ids = {entry["seq"]: entry["random_id"] for entry in entries}
    return [
        LedgerMessage(
            random_id=entry["random_id"] or 0,
            sender=entry["from_user"],
            peer=entry["peer"],
            text=entry["text"],
            message_id=entry["channel_message_id"] or entry["message_ids"][str(entry["from_user"])],
            reply_to=random_ids[entry["reply_to"]] if entry["reply_to"] is not None else None,
        )
        for entry in entries
        if entry["from_user"] in accounts
    ]


def compare(ours: Iterable[LedgerMessage], theirs: Iterable[LedgerMessage]) -> Comparison:
    """Match the messages by `random_id` and compare all fields.

    Two messages with the same sender, peer, text and `reply_to` are duplicates, even if their `random_id`s differ.
    """
    our_list, their_list = list(ours), list(theirs)
    our_by_id = {message.random_id: message for message in our_list}
    their_by_id = {message.random_id: message for message in their_list}
    common = our_by_id.keys() & their_by_id.keys()
    repeated = Counter((message.sender, message.peer, message.text, message.reply_to) for message in their_list)
    return Comparison(
        matched=sum(our_by_id[key] == their_by_id[key] for key in common),
        missing=[str(our_by_id[key]) for key in our_by_id.keys() - common],
        unexpected=[str(their_by_id[key]) for key in their_by_id.keys() - common],
        different=[
            f"ledger {our_by_id[key]}, sandbox {their_by_id[key]}"
            for key in common
            if our_by_id[key] != their_by_id[key]
        ],
        duplicates=[f"{count} times: {key}" for key, count in repeated.items() if count > 1]
        + [f"random_id {key} twice" for key, count in Counter(s.random_id for s in their_list).items() if count > 1],
    )
