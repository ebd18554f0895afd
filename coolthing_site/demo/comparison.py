"""Compares the messages that Telegram has with those in our ledger, one by one."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class LedgerMessage:
    """One outgoing message, told by either side.

    `peer` is a marked chat id or a user id; `message_id` is the sender's; `reply_to` is the `random_id` of the
    message of ours that it answers, or None.
    """

    random_id: int
    sender: int
    peer: int
    text: str
    message_id: int
    reply_to: int | None


@dataclass(frozen=True)
class Comparison:
    """`missing`: ours says sent, Telegram does not know it. `unexpected`: the other way round."""

    matched: int
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)

    @property
    def matches(self) -> bool:
        return not (self.missing or self.unexpected or self.different or self.duplicates)


def said_by(accounts: set[int], entries: Iterable[Mapping[str, Any]]) -> list[LedgerMessage]:
    """The entries of the sandbox's ledger (`GET /ledger`) that these accounts of ours wrote."""
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
    """Match by `random_id`; every field must agree. A thing said to the same peer in the same words, as an answer
    to the same message, counts as said twice even under another `random_id`."""
    our_list, their_list = list(ours), list(theirs)
    our_by_id = {said.random_id: said for said in our_list}
    their_by_id = {said.random_id: said for said in their_list}
    common = our_by_id.keys() & their_by_id.keys()
    repeated = Counter((said.sender, said.peer, said.text, said.reply_to) for said in their_list)
    return Comparison(
        matched=sum(our_by_id[key] == their_by_id[key] for key in common),
        missing=[str(our_by_id[key]) for key in our_by_id.keys() - common],
        unexpected=[str(their_by_id[key]) for key in their_by_id.keys() - common],
        different=[
            f"ours {our_by_id[key]}, theirs {their_by_id[key]}" for key in common if our_by_id[key] != their_by_id[key]
        ],
        duplicates=[f"{count} times: {key}" for key, count in repeated.items() if count > 1]
        + [f"random_id {key} twice" for key, count in Counter(s.random_id for s in their_list).items() if count > 1],
    )
