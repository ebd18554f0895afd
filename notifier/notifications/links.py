"""The page of the panel that an event is about. No database access.

Paths are literals, because a worker that asked Django for them would import every page. A test compares them with the
pages.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

# By the field with the row's id, the most specific first: the row's page, and the list for several rows.
_PAGES: dict[str, tuple[str, str]] = {
    "conversation_id": ("/admin/leads/conversation/{}/change/", "/admin/leads/conversation/?owner__exact=human"),
    "lead_id": ("/admin/leads/lead/{}/change/", "/admin/leads/lead/?state__exact=awaiting_approval"),
    "letter_id": ("/admin/messaging/deadletter/{}/change/", "/admin/messaging/deadletter/?state__exact=open"),
    "play_id": ("/admin/scripts/play/{}/change/", "/admin/scripts/play/?state__exact=failed"),
    "sfc_id": ("/admin/scripts/assignment/{}/change/", "/admin/scripts/assignment/"),
    "worker_id": ("/admin/bots/bot/{}/change/", "/admin/bots/bot/"),
}


def path_of(body: Mapping[str, Any], *, count: int = 1) -> str:
    """The page of the event's row, or the list of such rows for several events; otherwise the overview."""
    for field, (page, several) in _PAGES.items():
        if field in body and (row := _id(body[field])):
            return several if count > 1 else page.format(row)
    return "/admin/"


def _id(value: object) -> str:
    """The value as it may appear in a path. Another program's event may contain any text."""
    if isinstance(value, int):
        return str(value)
    try:
        return str(UUID(str(value)))
    except ValueError:
        return ""
