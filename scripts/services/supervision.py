"""The watchdog: finds plays that make no progress, reports each incident once, and repairs or ends the plays."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from bots.accounts.suitability import login_problem
from bots.models import Bot, Delivery
from campaigns.models import Campaign
from messaging.database.clock import database_clock
from messaging.events import ServiceCrashedEvent, ServiceErrorEvent
from messaging.publishing.outbox import publish_on_commit
from messaging.rounds import all_of, for_each
from scripts.models import Assignment, Play, Step
from scripts.services import controls
from scripts.services.plays import ALIVE, play_continue, step_settle
from scripts.services.rows import assignment_locked, play_locked, short

log = logging.getLogger(__name__)

AssignmentState = Assignment.State
# How long a message that may be sent, or an assignment that may be prepared, has before it counts as overdue.
OVERDUE = timedelta(minutes=2)
# The most rows of one kind that a sweep handles. The next sweep is seconds later.
AT_ONCE = 200
# The most plays that one crash event lists.
NAMED = 3


@dataclass(frozen=True)
class StalledPlay:
    play: Play
    reason: str
    waits_for_login: bool = False


def assignment_arm(*, assignment_id: str) -> None:
    """Let the watchdog monitor this assignment from now on. Raises UnknownScript."""
    with transaction.atomic():
        assignment = assignment_locked(assignment_id)
        if assignment.supervised_at is None:
            assignment.supervised_at = database_clock()
            assignment.save(update_fields=["supervised_at"])


def plays_supervise(*, now: datetime | None = None, overdue: timedelta = OVERDUE) -> None:
    """One sweep over all monitored plays.

    Each finding is checked again under a lock and handled in its own transaction, because sweeps may run at the same
    time as each other and as the plays.
    """
    now = now or database_clock()
    all_of(
        partial(_finish_stops, now),
        partial(_finish_ends, now),
        partial(_report_unprepared, before=now - overdue),
        partial(_end_hopeless, now),
        partial(_repair, now),
        partial(_report_stalled, now, before=now - overdue),
    )


def _armed() -> QuerySet[Play]:
    return Play.objects.filter(
        state=Play.State.PLAYING, assignment__state=AssignmentState.PLAYING, assignment__supervised_at__isnull=False
    ).select_related("assignment__campaign", "assignment__script", "chat")


def _finish_stops(now: datetime) -> None:
    """Clear assignments that were stopped by a process which died before it cleared their plays."""
    stopped = Assignment.objects.filter(state=AssignmentState.STOPPED, finished_at__isnull=True)

    def clear(assignment: Assignment) -> None:
        controls.assignment_clear(assignment_id=assignment.pk, reason=assignment.state_reason, now=now)

    for_each(list(stopped[:AT_ONCE]), clear, what="assignment")


def _finish_ends(now: datetime) -> None:
    """Like `_finish_stops`, for plays that have ended."""
    ended = controls.uncleared().exclude(state__in=ALIVE).filter(assignment__finished_at__isnull=True)

    def clear(play: Play) -> None:
        controls.play_clear(play_id=play.pk, state=play.state, reason=play.state_reason, now=now)

    for_each(list(ended[:AT_ONCE]), clear, what="play")


def _report_unprepared(*, before: datetime) -> None:
    waiting = Assignment.objects.filter(
        state=AssignmentState.ACTIVE, supervised_at__isnull=False, activated_at__lt=before, incident=""
    )

    @transaction.atomic
    def report(assignment: Assignment) -> None:
        reason = f"activated at {assignment.activated_at:%H:%M:%S} UTC and still not prepared"
        if waiting.filter(pk=assignment.pk).update(incident=reason):
            publish_on_commit(ServiceCrashedEvent(service="scripts", reason=f"{assignment}: {reason}"))
            log.warning("assignment %s: %s", assignment.pk, reason)

    for_each(list(waiting.select_related("campaign", "script")[:AT_ONCE]), report, what="assignment")


def _end_hopeless(now: datetime) -> None:
    """End plays whose next line belongs to a banned account."""
    hopeless = (
        Step.objects.filter(state=Step.State.QUEUED, bot__state=Bot.State.BANNED, play__in=_armed().values("pk"))
        .exclude(delivery__state=Delivery.State.SENDING)
        .select_related("play__assignment__campaign", "play__assignment__script", "play__chat", "bot")
    )
    found = [
        StalledPlay(step.play, f"failed: {step.bot}, which has to send line {step.position}, is banned")
        for step in hopeless[:AT_ONCE]
    ]

    def clear(incident: StalledPlay) -> None:
        controls.play_clear(play_id=incident.play.pk, state=Play.State.FAILED, reason=incident.reason, now=now)

    for_each(_report(found, partial(_fail, now=now)), clear, what="play")


def _fail(incident: StalledPlay, *, now: datetime) -> bool:
    failed = {"state": Play.State.FAILED, "state_reason": short(incident.reason), "finished_at": now}
    return bool(_armed().filter(pk=incident.play.pk).update(**failed))


def _repair(now: datetime) -> None:
    """Resume plays that have no queued step, or whose queued step has a settled delivery."""
    queued = Step.objects.filter(play=OuterRef("pk"), state=Step.State.QUEUED)
    settled = queued.filter(delivery__state__in=Delivery.FINAL)

    def resume(play: Play) -> None:
        # One transaction per play, because each may lock its assignment.
        _report(
            [StalledPlay(play, "was interrupted, and has been resumed")],
            lambda incident: _resume(incident.play.pk, now),
        )

    for_each(list(_armed().filter(Exists(settled) | ~Exists(queued))[:AT_ONCE]), resume, what="play")


def _resume(play_id: UUID, now: datetime) -> bool:
    with transaction.atomic():
        play = play_locked(play_id)
        if play.state != Play.State.PLAYING:
            return False
        step = play.steps.filter(state=Step.State.QUEUED).select_related("delivery").first()
        if step is None:
            play_continue(play, now=now)
            return True
        if step.delivery is None or step.delivery.state not in Delivery.FINAL:
            return False
        step_settle(delivery=step.delivery, now=now)
        return True


def _report_stalled(now: datetime, *, before: datetime) -> None:
    """Report plays whose message could have been sent long ago, as far as is known, and was not."""
    late = (
        Step.objects.filter(
            state=Step.State.QUEUED,
            play__in=_armed().filter(incident="", assignment__campaign__state=Campaign.State.RUNNING).values("pk"),
            delivery__due_at__lt=before,
            delivery__state__in=(Delivery.State.QUEUED, Delivery.State.SENDING),
        )
        .filter(Q(delivery__waiting_until__isnull=True) | Q(delivery__waiting_until__lt=before))
        .select_related("play__assignment__campaign", "play__assignment__script", "play__chat", "bot", "delivery")
    )
    _report([_stalled(step, now) for step in late[:AT_ONCE]], _mark)


def _mark(incident: StalledPlay) -> bool:
    return bool(_armed().filter(pk=incident.play.pk, incident="").update(incident=incident.reason))


def _stalled(step: Step, now: datetime) -> StalledPlay:
    return StalledPlay(step.play, short(_why_stalled(step, now)), waits_for_login=_waits_for_login(step.bot))


def _waits_for_login(bot: Bot) -> bool:
    return bot.enabled and (bot.state == Bot.State.NEEDS_LOGIN or bool(login_problem(bot)))


def _why_stalled(step: Step, now: datetime) -> str:
    bot, delivery = step.bot, step.delivery
    assert delivery is not None
    place = f"line {step.position} has been overdue since {delivery.due_at:%H:%M:%S} UTC"
    alive = bot.lease_expires_at is not None and bot.lease_expires_at > now
    if not bot.enabled:
        return f"{place}: {bot} is disabled"
    if _waits_for_login(bot):
        return f"{place}: {bot} is not logged in: log it in"
    if not alive or bot.state != Bot.State.ONLINE:
        why = f" ({bot.state_reason})" if bot.state_reason else ""
        return f"{place}: {bot} is {bot.get_state_display().lower()}{why}{'' if alive else ', and no worker runs it'}"
    return f"{place}: {delivery.waiting_reason or 'no progress'}"


def _report(incidents: Iterable[StalledPlay], act: Callable[[StalledPlay], bool]) -> list[StalledPlay]:
    """Act on each incident, and report those on which the watchdog has acted.

    One event per assignment, in the same transaction as the action. If all of them only wait for a login, there is no
    crash event. Returns the reported incidents.
    """
    of_assignment: dict[UUID, list[StalledPlay]] = {}
    for incident in sorted(incidents, key=lambda incident: incident.play.pk):
        of_assignment.setdefault(incident.play.assignment_id, []).append(incident)

    @transaction.atomic
    def report(assignment_id: UUID) -> list[StalledPlay]:
        fresh = [incident for incident in of_assignment[assignment_id] if act(incident)]
        if fresh:
            kind = ServiceErrorEvent if all(incident.waits_for_login for incident in fresh) else ServiceCrashedEvent
            publish_on_commit(kind(service="scripts", reason=_summary(fresh)))
            log.warning("assignment %s: %d plays with an incident", assignment_id, len(fresh))
        return fresh

    return [incident for fresh in for_each(list(of_assignment), report, what="assignment") for incident in fresh]


def _summary(incidents: Sequence[StalledPlay]) -> str:
    assignment = incidents[0].play.assignment
    named = "; ".join(f"{incident.play.chat}: {incident.reason}" for incident in incidents[:NAMED])
    more = f"; and {len(incidents) - NAMED} more" if len(incidents) > NAMED else ""
    return f"{assignment}: {named}{more}"
