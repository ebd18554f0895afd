"""Exports and erases a person's data in this room: deliveries and what belongs to them.

An erased delivery keeps everything that budgets are counted by.
"""

import secrets

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Lower

from bots.gate.recipients import addressed_as
from bots.models import Bot, BotBlock, Cursor, Delivery, DeliveryEvent, Incident, MassCancellation
from messaging.database.locks import rows_lock
from privacy.person import Person
from privacy.registry import ERASED, Counts, PersonalData, Rows, as_dicts

State = Delivery.State


class BotsPersonalData(PersonalData):
    name = "bots"
    models = (
        "bots.Delivery",
        "bots.DeliveryEvent",
        "bots.MassCancellation",
        "bots.Cursor",
        "bots.BotBlock",
        "bots.Incident",
    )

    def ids_met_as(self, username: str) -> set[int]:
        # Ids below 0 are the pseudonyms of erased people.
        known = Delivery.objects.filter(addressed_as(username), peer_id__gt=0)
        return {peer_id for peer_id in known.values_list("peer_id", flat=True) if peer_id is not None}

    def usernames_of(self, telegram_user_id: int) -> set[str]:
        known = Delivery.objects.filter(peer_id=telegram_user_id).exclude(peer_username="")
        return set(known.values_list(Lower("peer_username"), flat=True))

    def why_not_erasable(self, person: Person) -> str:
        own = Bot.objects.filter(telegram_user_id__in=person.ids).first()
        return f"This is an account of the team: {own}." if own is not None else ""

    def leaving(self, person: Person) -> int:
        # A delivery that is still queued after the suppression is at the gate at this moment.
        return _deliveries(person).filter(state__in=(State.QUEUED, State.SENDING)).count()

    def export(self, person: Person) -> Rows:
        return {
            "deliveries": as_dicts(_deliveries(person)),
            "events of deliveries": as_dicts(DeliveryEvent.objects.filter(delivery__in=_deliveries(person))),
            "cancellations": as_dicts(_orders(person), without=("delivery_ids",)),
            "cursors": as_dicts(Cursor.objects.filter(peer_id__in=person.ids)),
            "blocks": as_dicts(BotBlock.objects.filter(peer_id__in=person.ids)),
            "incidents": as_dicts(_incidents(person)),
        }

    @transaction.atomic
    def erase(self, person: Person) -> Counts:
        # The same in all rows, so that they still belong to the same person. Telegram's ids are never negative.
        pseudonym = -secrets.randbelow(2**62) - 1
        cursors = Cursor.objects.filter(pk__in=rows_lock(Cursor.objects.filter(peer_id__in=person.ids))).delete()[0]
        ids = rows_lock(_deliveries(person).exclude(state__in=(State.QUEUED, State.SENDING)))
        settled = Delivery.objects.filter(pk__in=ids)
        # Timelines contain texts: why a delivery waited, and what its text was edited to.
        events = DeliveryEvent.objects.filter(delivery__in=ids).delete()[0]
        erased = settled.update(
            peer_id=pseudonym,
            peer_username="",
            via_chat_id=None,
            via_message_id=None,
            text="",
            edited_text="",
            reactions="",
            error=ERASED,
            waiting_reason="",
        )
        given = rows_lock(MassCancellation.objects.filter(pk__in=[row.pk for row in _orders(person)]))
        orders = MassCancellation.objects.filter(pk__in=given).update(what=ERASED)
        waits = rows_lock(BotBlock.objects.filter(peer_id__in=person.ids))
        blocks = BotBlock.objects.filter(pk__in=waits).delete()[0]
        found = rows_lock(Incident.objects.filter(pk__in=[row.pk for row in _incidents(person)]))
        incidents = Incident.objects.filter(pk__in=found).delete()[0]
        return {
            "deliveries": erased,
            "events of deliveries": events,
            "cancellations": orders,
            "cursors": cursors,
            "blocks": blocks,
            "incidents": incidents,
        }


def _deliveries(person: Person) -> QuerySet[Delivery]:
    """Deliveries to the person's ids, and those to their usernames that have no id yet."""
    named = Q(pk__in=[])
    for name in person.usernames:
        named |= addressed_as(name) & Q(peer_id=None)
    return Delivery.objects.filter(Q(peer_id__in=person.ids) | named)


def _orders(person: Person) -> list[MassCancellation]:
    """Cancellations of the deliveries that a search for the person found."""
    return [row for row in MassCancellation.objects.filter(person.maybe_in("what")) if person.mentioned_in(row.what)]


def _incidents(person: Person) -> list[Incident]:
    maybe = Incident.objects.filter(person.maybe_in("key", "reason"))
    # Keys join ids by colons: message:BOT:PEER:MESSAGE.
    return [row for row in maybe if person.mentioned_in(row.reason, row.key.replace(":", " "))]
