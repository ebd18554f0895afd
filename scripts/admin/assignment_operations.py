"""The operations of an assignment's page and of the list of assignments."""

from campaigns.models import Campaign
from panelkit.operations import Operation, when_in
from scripts import services
from scripts.models import Assignment

State = Assignment.State


def _activated(assignment: Assignment) -> str:
    if assignment.state != State.ACTIVE:
        return f"was already activated: it is {assignment.state_name}."
    return "is active: its plays are being prepared."


def _resumed(assignment: Assignment) -> str:
    if assignment.campaign.state != Campaign.State.RUNNING:
        campaign = assignment.campaign
        return f"continues when its campaign does: {campaign} is {campaign.get_state_display().lower()}."
    return "continues."


OPERATIONS = (
    Operation(
        "activate",
        "Activate",
        run=lambda assignment, call: services.assignment_activate(assignment_id=assignment.pk),
        done=_activated,
        icon="play_arrow",
        variant="primary",
        when=when_in(State.DRAFT, State.FAILED),
        confirm="The accounts start to send the lines in all target chats. Lines that were sent cannot be taken back.",
        missing=lambda assignment: services.assignment_missing(assignment=assignment),
        bulk=True,
    ),
    Operation(
        "pause",
        "Pause",
        run=lambda assignment, call: services.assignment_pause(
            assignment_id=assignment.pk, reason=f"paused by {call.by}"
        ),
        done="is paused: no line is sent until you resume it.",
        icon="pause",
        when=when_in(State.PLAYING),
        bulk=True,
    ),
    Operation(
        "resume",
        "Resume",
        run=lambda assignment, call: services.assignment_resume(assignment_id=assignment.pk),
        done=_resumed,
        icon="play_arrow",
        variant="primary",
        when=when_in(State.PAUSED),
        bulk=True,
    ),
    Operation(
        "stop",
        "Stop",
        run=lambda assignment, call: services.assignment_stop(
            assignment_id=assignment.pk, reason=f"stopped by {call.by}"
        ),
        done="is stopped.",
        icon="stop",
        variant="danger",
        when=when_in(State.ACTIVE, State.PLAYING, State.PAUSED),
        confirm="The assignment ends permanently in all its chats. Lines that have not been sent yet will not be sent.",
        bulk=True,
    ),
    Operation(
        "repeat",
        "Play again",
        run=lambda assignment, call: services.assignment_repeat(assignment_id=assignment.pk),
        done="has a new draft with the same cast and chats. The ended assignment stays unchanged.",
        icon="replay",
        when=services.may_be_repeated,
        makes=True,
    ),
)
