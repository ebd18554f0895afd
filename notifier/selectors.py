"""Queries about notifications."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.db.models import OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, JSONObject, Now

from notifier.models import Channel, Notification
from panelkit.labels import moment_with_zone
from texts.wording import counted

# The most failures of a channel that are counted; beyond that the text is "or more".
MOST_COUNTED = 100
# The error of a test notification that another test replaced. It stands in stored rows.
REPLACED = "another test was sent before this one arrived"
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def collecting() -> Q:
    """Bundled notifications that are not due yet. They have not failed."""
    return Q(state=Notification.State.QUEUED, attempts=0, bundle_at__gt=Now())


def failing() -> Q:
    """Notifications whose last attempt failed, without tests that another test replaced."""
    return ~Q(error="") & ~Q(error=REPLACED) & ~Q(state=Notification.State.SENT)


def with_failure(channels: QuerySet[Channel]) -> QuerySet[Any]:
    """Annotate the channels with `arrived_at`, the time of the last notification that arrived, and `failure`.

    `failure` contains the error, attempts and state of the last failure since `arrived_at`; it is None if there is no
    failure. `due_at` serves as the time of a failure: it is when the last attempt was due, or when the next one is.
    """
    of_channel = Notification.objects.filter(channel=OuterRef("pk"))
    arrived = of_channel.filter(state=Notification.State.SENT).order_by("-sent_at").values("sent_at")[:1]
    since = of_channel.filter(failing(), due_at__gt=Coalesce(OuterRef("arrived_at"), Value(_BEGINNING))).order_by(
        "-due_at"
    )
    last = since.values(found=JSONObject(error="error", attempts="attempts", state="state"))[:1]
    return channels.annotate(arrived_at=Subquery(arrived)).annotate(failure=Subquery(last))


def failure_text(channel: Any) -> str:
    """The last failures of a channel from `with_failure`, as text; "" while notifications arrive."""
    last = getattr(channel, "failure", None)
    if not last:
        return ""
    failed = Notification.objects.filter(failing(), channel_id=channel.pk, due_at__gt=channel.arrived_at or _BEGINNING)
    number = len(failed.order_by("-due_at").values_list("pk")[:MOST_COUNTED])
    more = " or more" if number == MOST_COUNTED else ""
    next_step = "another follows" if last["state"] == Notification.State.QUEUED else "no more follow"
    arrived = (
        f"none has arrived since {moment_with_zone(channel.arrived_at)}"
        if channel.arrived_at
        else "none has arrived yet"
    )
    return (
        f"{counted(number, 'notification')}{more} not delivered; {arrived}. Last error: {last['error'].rstrip('.')} "
        f"({counted(last['attempts'], 'attempt')}, {next_step})"
    )


def channels_failing(*, most: int) -> Sequence[Channel]:
    """Enabled channels in which the last notification did not arrive."""
    enabled = with_failure(Channel.objects.filter(enabled=True).defer("address"))
    return list(enabled.filter(failure__isnull=False).order_by("name")[:most])
