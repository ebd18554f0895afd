"""From an event to the notifications of the channels that have a rule for it."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from messaging.clock import database_clock
from messaging.events import Event
from messaging.persons import about_somebody_erased, hold_erasing
from messaging.routing import topic_matches
from messaging.tasks_api import send_on_commit
from notifier.models import Channel, Notification, Rule
from notifier.names import name_of
from notifier.services import SEND_TASK
from notifier.titles import bundle_of, title_of

# Of events that belong together a channel gets one notification in this time: the first at once, and then all that have
# come since in one.
BUNDLED = timedelta(minutes=10)


@transaction.atomic
def event_record(*, event: Event) -> list[Notification]:
    """One notification for each enabled channel that has a rule for the event; a repeat adds none. Events that belong
    together (`notifier.titles.bundle_of`) are counted in one while they come in a row.

    None for an event of another program about somebody whose data was erased.
    """
    hold_erasing()
    if about_somebody_erased(event.to_json()):
        return []
    body, now = event.model_dump(mode="json"), database_clock()
    bundle = bundle_of(event.arrived_under, body)
    title = title_of(event.arrived_under, body, name_of)
    wanted = []
    for channel in _channels_for(event.arrived_under):
        last = _last_of(channel, bundle, now) if bundle else None
        if last is not None and (last.event_id == event.id or _counted_in(last, body, now)):
            continue
        due_at = now if last is None or last.bundle_at is None else last.bundle_at + BUNDLED
        wanted.append(
            Notification(
                channel=channel,
                event_id=event.id,
                routing_key=event.arrived_under,
                title=title,
                body=body,
                bundle=bundle,
                bundle_at=due_at if bundle else None,
                due_at=due_at,
                # What waits for its time is sent by `notifications_dispatch_due`.
                dispatched_at=now if due_at == now else None,
            )
        )
    Notification.objects.bulk_create(wanted, ignore_conflicts=True)
    made = list(Notification.objects.filter(id__in={notification.id for notification in wanted}))
    for notification in made:
        if notification.dispatched_at is not None:
            send_on_commit(SEND_TASK, str(notification.id))
    return made


def _channels_for(routing_key: str) -> list[Channel]:
    rules = Rule.objects.filter(channel__enabled=True).values_list("channel_id", "pattern")
    hearing = {channel_id for channel_id, pattern in rules if topic_matches(pattern, routing_key)}
    return list(Channel.objects.filter(id__in=hearing).defer("address").order_by("name"))


def _last_of(channel: Channel, bundle: str, now: datetime) -> Notification | None:
    """The bundle's last notification, if it went out less than BUNDLED ago or has still to go."""
    of_bundle = Notification.objects.filter(channel=channel, bundle=bundle, bundle_at__gt=now - BUNDLED)
    return of_bundle.order_by("-bundle_at").first()


def _counted_in(last: Notification, body: dict[str, object], now: datetime) -> bool:
    """Count the event in a notification that still waits for its time; False when it does not, or just went."""
    waits = Notification.objects.filter(id=last.id, state=Notification.State.QUEUED, attempts=0, bundle_at__gt=now)
    title = title_of(last.routing_key, body, name_of, count=last.count + 1)
    return bool(waits.update(count=F("count") + 1, title=title, body=body))
