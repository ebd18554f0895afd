"""The watchdog: finds plays that do not go on, says so once an incident, repairs what it can, ends what is hopeless."""

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
from scripts.models import Run, ScriptForCampaign, Step
from scripts.services import controls
from scripts.services.plays import ALIVE, run_go_on, step_settle
from scripts.services.rows import run_locked, sfc_locked, short

log = logging.getLogger(__name__)

SfcState = ScriptForCampaign.State
# A message that may be said, and an sfc that may be prepared, has this long before it counts as overdue.
OVERDUE = timedelta(minutes=2)
# Rows of one kind that one sweep looks at; the next sweep comes seconds later.
AT_ONCE = 200
# Plays that one crash event names.
NAMED = 3


@dataclass(frozen=True)
class Incident:
    run: Run
    reason: str
    waits_for_login: bool = False


def sfc_arm(*, sfc_id: str) -> None:
    """From now on the watchdog looks after this sfc. Raises UnknownScript."""
    with transaction.atomic():
        sfc = sfc_locked(sfc_id)
        if sfc.supervised_at is None:
            sfc.supervised_at = database_clock()
            sfc.save(update_fields=["supervised_at"])


def runs_supervise(*, now: datetime | None = None, overdue: timedelta = OVERDUE) -> None:
    """One sweep over everything that is armed. Each finding is handled in its own transaction, looked at again under
    lock: sweeps may run beside each other and beside the plays."""
    now = now or database_clock()
    all_of(
        partial(_finish_stops, now),
        partial(_finish_ends, now),
        partial(_report_unprepared, before=now - overdue),
        partial(_end_hopeless, now),
        partial(_repair, now),
        partial(_report_stalled, now, before=now - overdue),
    )


def _armed() -> QuerySet[Run]:
    return Run.objects.filter(
        state=Run.State.PLAYING, sfc__state=SfcState.PLAYING, sfc__supervised_at__isnull=False
    ).select_related("sfc__campaign", "sfc__script", "chat")


def _finish_stops(now: datetime) -> None:
    """A fence that was committed by a process which died before it cleared what was behind it."""
    stopped = ScriptForCampaign.objects.filter(state=SfcState.STOPPED, finished_at__isnull=True)

    def clear(sfc: ScriptForCampaign) -> None:
        controls.sfc_clear(sfc_id=sfc.pk, reason=sfc.state_reason, now=now)

    for_each(list(stopped[:AT_ONCE]), clear, what="sfc")


def _finish_ends(now: datetime) -> None:
    """As `_finish_stops`, of plays that have ended."""
    ended = controls.uncleared().exclude(state__in=ALIVE).filter(sfc__finished_at__isnull=True)

    def clear(run: Run) -> None:
        controls.run_clear(run_id=run.pk, state=run.state, reason=run.state_reason, now=now)

    for_each(list(ended[:AT_ONCE]), clear, what="play")


def _report_unprepared(*, before: datetime) -> None:
    waiting = ScriptForCampaign.objects.filter(
        state=SfcState.ACTIVE, supervised_at__isnull=False, activated_at__lt=before, incident=""
    )

    @transaction.atomic
    def report(sfc: ScriptForCampaign) -> None:
        reason = f"activated at {sfc.activated_at:%H:%M:%S} UTC and still not prepared"
        if waiting.filter(pk=sfc.pk).update(incident=reason):
            publish_on_commit(ServiceCrashedEvent(service="scripts", reason=f"{sfc}: {reason}"))
            log.warning("sfc %s: %s", sfc.pk, reason)

    for_each(list(waiting.select_related("campaign", "script")[:AT_ONCE]), report, what="sfc")


def _end_hopeless(now: datetime) -> None:
    """Plays whose next line belongs to an account that will never speak again."""
    hopeless = (
        Step.objects.filter(state=Step.State.QUEUED, bot__state=Bot.State.BANNED, run__in=_armed().values("pk"))
        .exclude(delivery__state=Delivery.State.SENDING)
        .select_related("run__sfc__campaign", "run__sfc__script", "run__chat", "bot")
    )
    found = [
        Incident(step.run, f"failed: {step.bot}, who has line {step.position}, is banned")
        for step in hopeless[:AT_ONCE]
    ]

    def clear(incident: Incident) -> None:
        controls.run_clear(run_id=incident.run.pk, state=Run.State.FAILED, reason=incident.reason, now=now)

    for_each(_report(found, partial(_fail, now=now)), clear, what="play")


def _fail(incident: Incident, *, now: datetime) -> bool:
    failed = {"state": Run.State.FAILED, "state_reason": short(incident.reason), "finished_at": now}
    return bool(_armed().filter(pk=incident.run.pk).update(**failed))


def _repair(now: datetime) -> None:
    """Plays that lost their thread: nothing is queued, or what is queued has settled without telling them."""
    queued = Step.objects.filter(run=OuterRef("pk"), state=Step.State.QUEUED)
    settled = queued.filter(delivery__state__in=Delivery.FINAL)

    def resume(run: Run) -> None:
        # A transaction a play: each of them may go on to lock its sfc.
        _report([Incident(run, "lost its thread and was resumed")], lambda incident: _resume(incident.run.pk, now))

    for_each(list(_armed().filter(Exists(settled) | ~Exists(queued))[:AT_ONCE]), resume, what="play")


def _resume(run_id: UUID, now: datetime) -> bool:
    with transaction.atomic():
        run = run_locked(run_id)
        if run.state != Run.State.PLAYING:
            return False
        step = run.steps.filter(state=Step.State.QUEUED).select_related("delivery").first()
        if step is None:
            run_go_on(run, now=now)
            return True
        if step.delivery is None or step.delivery.state not in Delivery.FINAL:
            return False
        step_settle(delivery=step.delivery, now=now)
        return True


def _report_stalled(now: datetime, *, before: datetime) -> None:
    """Plays whose line may be said for a long time, by all that is known, and is not."""
    late = (
        Step.objects.filter(
            state=Step.State.QUEUED,
            run__in=_armed().filter(incident="", sfc__campaign__state=Campaign.State.RUNNING).values("pk"),
            delivery__due_at__lt=before,
            delivery__state__in=(Delivery.State.QUEUED, Delivery.State.SENDING),
        )
        .filter(Q(delivery__waiting_until__isnull=True) | Q(delivery__waiting_until__lt=before))
        .select_related("run__sfc__campaign", "run__sfc__script", "run__chat", "bot", "delivery")
    )
    _report([_stalled(step, now) for step in late[:AT_ONCE]], _mark)


def _mark(incident: Incident) -> bool:
    return bool(_armed().filter(pk=incident.run.pk, incident="").update(incident=incident.reason))


def _stalled(step: Step, now: datetime) -> Incident:
    return Incident(step.run, short(_why_stalled(step, now)), waits_for_login=_waits_for_login(step.bot))


def _waits_for_login(bot: Bot) -> bool:
    return bot.enabled and (bot.state == Bot.State.NEEDS_LOGIN or bool(login_problem(bot)))


def _why_stalled(step: Step, now: datetime) -> str:
    bot, delivery = step.bot, step.delivery
    assert delivery is not None
    place = f"line {step.position} is overdue since {delivery.due_at:%H:%M:%S} UTC"
    alive = bot.lease_expires_at is not None and bot.lease_expires_at > now
    if not bot.enabled:
        return f"{place}: {bot} is disabled"
    if _waits_for_login(bot):
        return f"{place}: {bot} is not logged in: log it in"
    if not alive or bot.state != Bot.State.ONLINE:
        why = f" ({bot.state_reason})" if bot.state_reason else ""
        return f"{place}: {bot} is {bot.get_state_display().lower()}{why}{'' if alive else ', no process drives it'}"
    return f"{place}: {delivery.waiting_reason or 'no progress'}"


def _report(incidents: Iterable[Incident], act: Callable[[Incident], bool]) -> list[Incident]:
    """Act on each incident and report those on which somebody had to act: one event an sfc, committed with what was
    done. Nothing has crashed while all of them wait for a login. Returns those."""
    of_sfc: dict[UUID, list[Incident]] = {}
    for incident in sorted(incidents, key=lambda incident: incident.run.pk):
        of_sfc.setdefault(incident.run.sfc_id, []).append(incident)

    @transaction.atomic
    def report(sfc_id: UUID) -> list[Incident]:
        fresh = [incident for incident in of_sfc[sfc_id] if act(incident)]
        if fresh:
            kind = ServiceErrorEvent if all(incident.waits_for_login for incident in fresh) else ServiceCrashedEvent
            publish_on_commit(kind(service="scripts", reason=_summary(fresh)))
            log.warning("sfc %s: %d plays with an incident", sfc_id, len(fresh))
        return fresh

    return [incident for fresh in for_each(list(of_sfc), report, what="sfc") for incident in fresh]


def _summary(incidents: Sequence[Incident]) -> str:
    sfc = incidents[0].run.sfc
    named = "; ".join(f"{incident.run.chat}: {incident.reason}" for incident in incidents[:NAMED])
    more = f"; and {len(incidents) - NAMED} more" if len(incidents) > NAMED else ""
    return f"{sfc}: {named}{more}"
