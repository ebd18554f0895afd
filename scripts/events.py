"""The events of the scripts room. Other programs may publish `NewActiveScript` too."""

from uuid import UUID

from messaging import wire
from messaging.broker import topology
from messaging.events import Event


class NewActiveScript(Event, exchange=topology.SCRIPTS_EXCHANGE, key="admin.script_created"):
    """An assignment was activated. Its id is a string, because another program may publish the event."""

    script_for_campaign_id: str


class ScriptStartedEvent(Event, exchange=topology.EVENTS_EXCHANGE, key="scripts.started"):
    """The plays of an assignment have started. `chats`: marked ids, or references of chats without a known id."""

    sfc_id: UUID
    chats: list[str | int]


class PlayFailed(Event, exchange=topology.EVENTS_EXCHANGE, key="scripts.play_failed"):
    """A play failed, because none of its lines was sent or because the watchdog ended it."""

    play_id: UUID
    sfc_id: UUID
    reason: str


class ScriptFinishedEvent(Event, exchange=topology.EVENTS_EXCHANGE, key="scripts.finished"):
    """An assignment's last play has ended. `problems`: the ids of lines that were not sent in at least one chat."""

    sfc_id: UUID
    finished_at: wire.Time
    problems: list[UUID | None]
