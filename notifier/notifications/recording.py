"""From an event to the notifications of the channels that have a rule for it."""

from django.db import transaction

from messaging.broker.routing import topic_matches
from messaging.database.clock import database_clock
from messaging.event_objects import name_of
from messaging.events import Event
from messaging.publishing.celery_tasks import send_on_commit
from notifier.models import Channel, Notification, Rule
from notifier.notifications.bundles import bundle_due
from notifier.notifications.lifecycle import SEND_TASK
from notifier.notifications.titles import bundle_of, title_of
from privacy.erased import about_erased_person, lock_erasing


@transaction.atomic
def event_record(*, event: Event) -> list[Notification]:
    """Record one notification for each enabled channel that has a rule for the event. Recording it again adds none.

    Related events (`bundle_of`) become one notification when they are sent (`notifier.notifications.bundles`). This
    only inserts rows and never changes any, because events of one commit arrive in any order. Another program's event
    about a person whose data was erased gets no notifications.
    """
    lock_erasing()
    if about_erased_person(event.to_json()):
        return []
    body, now = event.model_dump(mode="json"), database_clock()
    bundle = bundle_of(event.arrived_under, body)
    title = title_of(event.arrived_under, body, name_of)
    wanted = []
    for channel in _channels_for(event.arrived_under):
        due_at = bundle_due(channel=channel, bundle=bundle, now=now) if bundle else now
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
                # `notifications_dispatch_due` sends the task for a notification that is due later.
                dispatched_at=now if due_at == now else None,
                created_at=now,
            )
        )
    Notification.objects.bulk_create(wanted, ignore_conflicts=True)
    recorded = list(Notification.objects.filter(id__in={notification.id for notification in wanted}))
    for notification in recorded:
        if notification.dispatched_at is not None:
            send_on_commit(SEND_TASK, str(notification.id))
    return recorded


def _channels_for(routing_key: str) -> list[Channel]:
    rules = Rule.objects.filter(channel__enabled=True).values_list("channel_id", "pattern")
    channel_ids = {channel_id for channel_id, pattern in rules if topic_matches(pattern, routing_key)}
    return list(Channel.objects.filter(id__in=channel_ids).defer("address").order_by("name"))
