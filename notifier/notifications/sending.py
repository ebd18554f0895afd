"""Sends one notification: claims it, calls the channel, and records the result, in two short transactions.

Only this module and the transports wait for the network.
"""

import logging
from datetime import datetime
from uuid import UUID

from messaging.database.clock import database_clock
from notifier.channels.transports import TransportError, send
from notifier.notifications.lifecycle import channel_address, notification_claim, notification_failed, notification_sent

log = logging.getLogger(__name__)


def notification_send(*, notification_id: UUID, now: datetime | None = None) -> None:
    """Send the notification if it is due. May run several times at once; no transaction is open during the delivery.

    Every attempt is counted, however it ends.
    """
    sending = notification_claim(notification_id=notification_id, now=now or database_clock())
    if sending is None:
        return
    try:
        send(sending.kind, channel_address(sending=sending), sending.content)
    except TransportError as error:
        log.warning("notification %s, attempt %s: %s", sending.id, sending.attempt, error)
        notification_failed(
            sending=sending,
            error=str(error),
            permanent=error.permanent,
            retry_after=error.retry_after,
            now=database_clock(),
        )
    except Exception as error:
        # Only the error's class, because its text may contain the channel's address.
        log.error("notification %s, attempt %s: unforeseen %s", sending.id, sending.attempt, type(error).__name__)
        unforeseen = f"unforeseen {type(error).__name__}"
        notification_failed(sending=sending, error=unforeseen, permanent=False, now=database_clock())
    else:
        notification_sent(sending=sending, now=database_clock())
