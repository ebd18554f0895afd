"""Changes of messages that were hits: their authors edit them, or they are deleted. The hit keeps its first text."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from messaging.database.clock import database_clock
from messaging.database.locks import rows_lock
from parser.models import Hit
from telegram.types import SUPERGROUPS_BELOW, MessageNow, is_supergroup
from texts.telegram_form import same_text

_Place = tuple[int | None, int]


def hits_changed(*, bot_id: UUID, changes: Sequence[MessageNow]) -> list[MessageNow]:
    """Record changes of messages that were hits, as this bot sees them. Known changes have no effect.

    Returns the changes of other messages.
    """
    found = _hits_behind(bot_id, [change for change in changes if _edited_or_deleted(change)])
    if found:
        _note(found, changes)
    return [change for change in changes if (change.peer_id, change.message_id) not in found]


def _edited_or_deleted(change: MessageNow) -> bool:
    """Whether the change is an edit or a deletion. In a busy chat most changes are reactions."""
    return change.deleted or (change.text is not None and change.edited_at is not None)


def _hits_behind(bot_id: UUID, changes: Iterable[MessageNow]) -> Mapping[_Place, list[UUID]]:
    """The ids of hits by supergroup (None for the bot's own numbers) and message id.

    A message may be a hit of several campaigns.
    """
    where = Q(pk__in=[])
    numbers: dict[int | None, list[int]] = defaultdict(list)
    for change in changes:
        numbers[change.peer_id].append(change.message_id)
    for peer_id, there in numbers.items():
        # In a supergroup a message has one id for all accounts; elsewhere each account has its own ids.
        own = Q(bot_id=bot_id, peer_id__gte=SUPERGROUPS_BELOW)
        where |= (own if peer_id is None else Q(peer_id=peer_id)) & Q(message_id__in=there)
    found: dict[_Place, list[UUID]] = defaultdict(list)
    for pk, peer_id, number in Hit.objects.filter(where).values_list("pk", "peer_id", "message_id"):
        found[peer_id if is_supergroup(peer_id) else None, number].append(pk)
    return dict(found)


@transaction.atomic
def _note(found: Mapping[_Place, list[UUID]], changes: Sequence[MessageNow]) -> None:
    ids = {pk for hits in found.values() for pk in hits}
    # Some hits may have been erased meanwhile.
    hits = Hit.objects.in_bulk(rows_lock(Hit.objects.filter(pk__in=ids)))
    for change in changes:
        for pk in found.get((change.peer_id, change.message_id), ()):
            if pk in hits:
                _change(hits[pk], change)


def _change(hit: Hit, change: MessageNow) -> None:
    if change.deleted:
        if hit.deleted_at is None:
            hit.deleted_at = database_clock()
            hit.save(update_fields=["deleted_at"])
        return
    if change.text is None or change.edited_at is None:
        return
    # Telegram marks a message as edited when its reactions change, too, and reports times in whole seconds.
    now = hit.text if hit.edited_at is None else hit.edited_text
    if same_text(change.text, now) or (hit.edited_at is not None and hit.edited_at > change.edited_at):
        return
    hit.edited_text, hit.edited_at = change.text, change.edited_at
    hit.save(update_fields=["edited_text", "edited_at"])
