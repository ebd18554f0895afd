"""What the scripts room publishes. `NewActiveScript` may come from other programs as well."""

from uuid import UUID

from messaging import wire
from messaging.broker import topology
from messaging.events import Event


class NewActiveScript(Event, exchange=topology.SCRIPTS_EXCHANGE, key="admin.script_created"):
    """A script was activated in a campaign. The id is text: it may come from a program that knows nothing of ours."""

    script_for_campaign_id: str


class ScriptStartedEvent(Event, exchange=topology.EVENTS_EXCHANGE, key="scripts.started"):
    """A script is prepared and plays. `chats`: marked Telegram ids, or references of chats not yet resolved."""

    sfc_id: UUID
    chats: list[str | int]


class PlayFailed(Event, exchange=topology.EVENTS_EXCHANGE, key="scripts.play_failed"):
    """A play failed by itself: nothing of it was sent. What the watchdog ends is a `scripts.crash`."""

    play_id: UUID
    sfc_id: UUID
    reason: str


class ScriptFinishedEvent(Event, exchange=topology.EVENTS_EXCHANGE, key="scripts.finished"):
    """A script's last play has ended, however it ended. `problems`: the lines that some chat did not get to hear."""

    sfc_id: UUID
    finished_at: wire.Time
    problems: list[UUID | None]
