"""The recipients of deliveries, identified by the ledger.

One message may address a person by id and another by username.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection
from django.db.models import Q

from bots.models import Delivery
from campaigns.identifiers import plain_username
from campaigns.models import Purpose


@dataclass(frozen=True)
class Recipient:
    """The person that a delivery goes to.

    `id` is known for a person who is addressed by username too, once any delivery had both. `names` are all usernames
    of the id in the ledger, in upper case.
    """

    id: int | None
    names: frozenset[str]


def name_of(username: str) -> str:
    """The username in the form of the ledger's index: without @, in upper case."""
    return plain_username(username).upper()


def addressed_as(username: str) -> Q:
    """Deliveries to this username, as a condition that matches the ledger's indexes."""
    return Q(peer_username__upper=name_of(username))


def recipients_of(deliveries: Sequence[Delivery]) -> dict[UUID, Recipient]:
    """The recipients of the deliveries that go to a person, by delivery id. Makes two queries at most."""
    to_people = [delivery for delivery in deliveries if delivery.chat_id is None]
    named = {name_of(delivery.peer_username) for delivery in to_people if delivery.peer_id is None}
    ids = _ids_of(named - {""})
    known = {delivery.id: delivery.peer_id or ids.get(name_of(delivery.peer_username)) for delivery in to_people}
    names = _names_of({user_id for user_id in known.values() if user_id is not None})
    found = {}
    for delivery in to_people:
        user_id, own = known[delivery.id], {name_of(delivery.peer_username)} - {""}
        found[delivery.id] = Recipient(user_id, frozenset(own | (names[user_id] if user_id is not None else set())))
    return found


def _ids_of(names: Collection[str]) -> dict[str, int]:
    """The ids by username. A username that passed to another person counts for the person whose delivery is newest."""
    if not names:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT wanted.name, found.peer_id FROM unnest(%s::text[]) AS wanted(name) CROSS JOIN LATERAL (
                SELECT peer_id FROM bots_delivery WHERE upper(peer_username) = wanted.name AND peer_id IS NOT NULL
                ORDER BY counted_at DESC NULLS LAST LIMIT 1
            ) AS found
            """,
            [sorted(names)],
        )
        return dict(cursor.fetchall())


def _names_of(ids: Collection[int]) -> Mapping[int, set[str]]:
    """The usernames by id.

    The recursive query skips through the index from username to username, so the cost does not grow with the number of
    a person's messages.
    """
    names: dict[int, set[str]] = defaultdict(set)
    if not ids:
        return names
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH RECURSIVE named(id, name) AS (
                SELECT wanted.id, (SELECT min(upper(peer_username)) FROM bots_delivery
                    WHERE peer_id = wanted.id AND peer_username <> '')
                FROM unnest(%s::bigint[]) AS wanted(id)
                UNION ALL
                SELECT named.id, (SELECT min(upper(peer_username)) FROM bots_delivery
                    WHERE peer_id = named.id AND peer_username <> '' AND upper(peer_username) > named.name)
                FROM named WHERE named.name IS NOT NULL
            )
            SELECT id, name FROM named WHERE name IS NOT NULL
            """,
            [sorted(ids)],
        )
        for user_id, name in cursor.fetchall():
            names[user_id].add(name)
    return names


def new_contacts(deliveries: Sequence[Delivery], people: Mapping[UUID, Recipient]) -> set[UUID]:
    """The ids of deliveries that would be their bot's first message to the person, without replies.

    Only messages that have been counted against budgets are earlier messages, so these deliveries themselves are not.
    """
    wanted = [delivery for delivery in deliveries if delivery.id in people and delivery.purpose != Purpose.REPLY]
    pairs = [(delivery, user_id) for delivery in wanted if (user_id := people[delivery.id].id) is not None]
    pairs_by_name = [(delivery, name) for delivery in wanted for name in sorted(people[delivery.id].names)]
    if not wanted:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT wanted.id FROM unnest(%s::uuid[], %s::uuid[], %s::bigint[]) AS wanted(id, bot_id, peer_id)
            WHERE EXISTS (SELECT 1 FROM bots_delivery AS earlier WHERE earlier.peer_id = wanted.peer_id
                AND earlier.bot_id = wanted.bot_id AND earlier.counted_at IS NOT NULL)
            UNION ALL
            SELECT wanted.id FROM unnest(%s::uuid[], %s::uuid[], %s::text[]) AS wanted(id, bot_id, name)
            WHERE EXISTS (SELECT 1 FROM bots_delivery AS earlier WHERE upper(earlier.peer_username) = wanted.name
                AND earlier.peer_id IS NULL AND earlier.peer_username <> ''
                AND earlier.bot_id = wanted.bot_id AND earlier.counted_at IS NOT NULL)
            """,
            [*_columns(pairs), *_columns(pairs_by_name)],
        )
        written_before = {row[0] for row in cursor.fetchall()}
    return {delivery.id for delivery in wanted} - written_before


def _columns(pairs: Sequence[tuple[Delivery, object]]) -> list[list[object]]:
    return [
        [delivery.id for delivery, _ in pairs],
        [delivery.bot_id for delivery, _ in pairs],
        [key for _, key in pairs],
    ]
