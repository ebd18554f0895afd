"""The two subscribers of `NewActiveScript`."""

from messaging.broker import topology
from messaging.consuming.subscriptions import subscriber
from scripts import services
from scripts.events import NewActiveScript


@subscriber(topology.SCRIPTS_QUEUE, name="scripts.subscribers.prepare_play")
def prepare_play(event: NewActiveScript) -> None:
    services.assignment_prepare(assignment_id=event.script_for_campaign_id)


@subscriber(topology.SCRIPTS_WATCHDOG_QUEUE, name="scripts.subscribers.arm_supervision")
def arm_supervision(event: NewActiveScript) -> None:
    services.assignment_arm(assignment_id=event.script_for_campaign_id)
