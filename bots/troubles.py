"""Telling people about a trouble once, however often it is noticed."""

from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from bots.events import SERVICE
from bots.models import Trouble
from messaging.events import Event, ServiceErrorEvent
from messaging.outbox import publish_on_commit

FORGOTTEN = timedelta(days=1)
KEY_LENGTH, REASON_LENGTH = 200, 300


def trouble_tell(*, key: str, reason: str, event: Event | None = None) -> bool:
    """Note that something is wrong, and publish it if it was not known yet (True). `key` names the trouble.

    Published is a ServiceErrorEvent of the bots, or `event` if given.
    """
    with transaction.atomic():
        _, new = Trouble.objects.get_or_create(key=key[:KEY_LENGTH], defaults={"reason": reason[:REASON_LENGTH]})
        if new:
            publish_on_commit(event or ServiceErrorEvent(service=SERVICE, reason=reason))
        else:
            Trouble.objects.filter(key=key[:KEY_LENGTH]).update(
                count=F("count") + 1, last_at=Now(), reason=reason[:REASON_LENGTH]
            )
    return new


def troubles_forget() -> int:
    """Remove what has not been noticed for a day: nobody will say that it is over."""
    return Trouble.objects.filter(last_at__lt=Now() - FORGOTTEN).delete()[0]


def trouble_over(*, key: str) -> None:
    """It works again: the next time is news."""
    Trouble.objects.filter(key=key[:KEY_LENGTH]).delete()
