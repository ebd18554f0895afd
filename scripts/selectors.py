"""Reads: who has to be on stage, and how far a play has come."""

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from bots.accounts.suitability import bots_suitable
from bots.models import Bot, Delivery, Role
from campaigns.models import Chat, ChatPermission
from campaigns.permissions.validity import permissions_given
from scripts.models import OPEN_STATES, Run, ScriptForCampaign, Step

SfcState = ScriptForCampaign.State
# An account in one of these cannot begin to play.
UNUSABLE_BOTS = (Bot.State.BANNED, Bot.State.NEEDS_LOGIN)
TO_COME = (Step.State.PENDING, Step.State.QUEUED)

# A step's earliest moment: when its run's queued step may be said, and the delays of the steps between them.
_ON_STAGE = """
    SELECT bot_id FROM (
        SELECT step.bot_id,
               max(greatest(delivery.due_at, delivery.waiting_until)) OVER (PARTITION BY step.run_id) AS head,
               sum(CASE WHEN step.state = 'pending' THEN step.delay_seconds ELSE 0 END)
                   OVER (PARTITION BY step.run_id ORDER BY step.position) AS later
        FROM scripts_step step
        JOIN scripts_run run ON run.id = step.run_id AND run.state = 'playing'
        JOIN scripts_scriptforcampaign sfc ON sfc.id = run.sfc_id AND sfc.state = 'playing'
        LEFT JOIN bots_delivery delivery ON delivery.id = step.delivery_id
        WHERE step.state IN ('pending', 'queued')
    ) AS steps
    WHERE head + later * interval '1 second' <= %s
    UNION
    SELECT step.bot_id FROM scripts_step step JOIN bots_delivery delivery ON delivery.id = step.delivery_id
    WHERE step.state = 'queued' AND delivery.state = 'sending'
    UNION
    SELECT casting.bot_id FROM scripts_casting casting
    JOIN scripts_scriptforcampaign sfc ON sfc.id = casting.sfc_id AND sfc.state = 'active'
"""


def bots_on_stage(*, now: datetime, near: timedelta) -> set[UUID]:
    """The actors with a line to say up to `near` from now, with a message leaving, or cast in what starts at once."""
    with connection.cursor() as cursor:
        cursor.execute(_ON_STAGE, [now + near])
        return {row[0] for row in cursor.fetchall()}


def chats_of_actor(*, bot_id: UUID) -> list[Chat]:
    """The chats in which this actor still has lines to say and whose owners permit it now, also when an account has to
    confirm a chat's changed reference first."""
    runs = Run.objects.filter(
        state__in=(Run.State.PLAYING, Run.State.PAUSED),
        sfc__state__in=(SfcState.PLAYING, SfcState.PAUSED),
        steps__bot_id=bot_id,
        steps__state__in=TO_COME,
    )
    starting = ScriptForCampaign.objects.filter(state=SfcState.ACTIVE, cast__bot_id=bot_id)
    wanted = Q(pk__in=runs.values("chat_id")) | Q(targeted_by__sfc__in=starting)
    permitted = permissions_given(purpose=ChatPermission.Grant.SCRIPT, now=Now()).values("chat_id")
    return list(Chat.objects.filter(wanted, pk__in=permitted).distinct().order_by("key"))


@dataclass(frozen=True)
class StepProgress:
    """`waiting_reason` and `waiting_until` are of a queued step: why it is not said yet, and until when at least."""

    id: UUID
    line_id: UUID
    position: int
    slot: str
    bot: str
    text: str
    state: str
    reason: str
    waiting_reason: str
    waiting_until: datetime | None
    said_at: datetime | None
    telegram_message_id: int | None


@dataclass(frozen=True)
class RunProgress:
    id: UUID
    chat: str
    chat_title: str
    state: str
    reason: str
    incident: str
    planned: int
    said: int
    not_said: int
    started_at: datetime
    finished_at: datetime | None
    steps: list[StepProgress]


@dataclass(frozen=True)
class SfcProgress:
    """`planned`, `said` and `not_said` count lines over all runs; `leaving`: messages on their way at this moment.
    `more_after`: the last chat of this page when more follow, else empty."""

    id: UUID
    campaign: str
    script: str
    state: str
    reason: str
    incident: str
    planned: int
    said: int
    not_said: int
    leaving: int
    activated_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    runs: list[RunProgress]
    more_after: str


# Plays in one answer, and how many are asked for by default: each comes with all of its lines.
MOST_RUNS, RUNS_A_PAGE = 200, 50


@dataclass(frozen=True)
class Wanted:
    """Which of the plays, in the order of their chats' keys: one of them, the one in a chat, those in which a line
    settled or that ended from `since` on, those after a chat's key. `next_steps_only`: of their lines only those that
    are queued."""

    run: UUID | None = None
    chat: str = ""
    since: datetime | None = None
    after: str = ""
    limit: int = RUNS_A_PAGE
    next_steps_only: bool = False


def sfc_current(found: QuerySet[ScriptForCampaign]) -> ScriptForCampaign | None:
    """Of one script's assignments to one campaign the one that has not ended, else the last."""
    latest_first = found.order_by("-created_at")
    return latest_first.filter(state__in=OPEN_STATES).first() or latest_first.first()


def sfc_assigned(*, campaign_id: UUID, script_id: UUID, beside: UUID) -> bool:
    """Whether the script has an assignment to the campaign, other than `beside`, that has not ended."""
    same = ScriptForCampaign.objects.filter(campaign=campaign_id, script=script_id, state__in=OPEN_STATES)
    return same.exclude(pk=beside).exists()


def sfc_progress(*, sfc_id: UUID, wanted: Wanted | None = None) -> SfcProgress:
    """How far an sfc has come, and a page of its plays: a fixed number of queries. The counts of the whole are of all
    plays, whichever are wanted. Raises ScriptForCampaign.DoesNotExist."""
    wanted = wanted or Wanted()
    sfc = ScriptForCampaign.objects.select_related("campaign", "script").get(pk=sfc_id)
    all_steps = Step.objects.filter(run__sfc=sfc)
    total = Counter(dict(all_steps.values_list("state").annotate(n=Count("pk")).order_by()))
    leaving = all_steps.filter(state=Step.State.QUEUED, delivery__state=Delivery.State.SENDING)
    runs, more = _runs_wanted(sfc, wanted)
    return SfcProgress(
        id=sfc.pk,
        campaign=sfc.campaign.slug,
        script=sfc.script.slug,
        state=sfc.state,
        reason=sfc.state_reason,
        incident=sfc.incident,
        planned=total.total(),
        said=total[Step.State.SAID],
        not_said=total[Step.State.NOT_SAID],
        leaving=leaving.count(),
        activated_at=sfc.activated_at,
        started_at=sfc.started_at,
        finished_at=sfc.finished_at,
        runs=_runs_progress(sfc, runs, wanted),
        more_after=runs[-1].chat.key if more else "",
    )


def _runs_wanted(sfc: ScriptForCampaign, wanted: Wanted) -> tuple[list[Run], bool]:
    """A page of them, and whether there are more."""
    runs = Run.objects.filter(sfc=sfc).select_related("chat")
    if wanted.run is not None:
        runs = runs.filter(pk=wanted.run)
    if wanted.chat:
        runs = runs.filter(chat__key=wanted.chat)
    if wanted.since is not None:
        runs = runs.filter(Q(progressed_at__gte=wanted.since) | Q(finished_at__gte=wanted.since))
    if wanted.after:
        runs = runs.filter(chat__key__gt=wanted.after)
    limit = min(wanted.limit, MOST_RUNS)
    found = list(runs.order_by("chat__key")[: limit + 1])
    return found[:limit], len(found) > limit


def _runs_progress(sfc: ScriptForCampaign, runs: list[Run], wanted: Wanted) -> list[RunProgress]:
    of_runs = Step.objects.filter(run__in=[run.pk for run in runs])
    counts: defaultdict[UUID, Counter[str]] = defaultdict(Counter)
    for run_id, state, number in of_runs.values_list("run", "state").annotate(n=Count("pk")).order_by():
        counts[run_id][state] = number
    shown = of_runs.filter(state=Step.State.QUEUED) if wanted.next_steps_only else of_runs
    steps: defaultdict[UUID, list[Step]] = defaultdict(list)
    for step in shown.select_related("bot", "delivery").order_by("run_id", "position"):
        steps[step.run_id].append(step)
    return [_run_progress(sfc, run, counts[run.pk], steps[run.pk]) for run in runs]


def _run_progress(sfc: ScriptForCampaign, run: Run, counts: Counter[str], steps: list[Step]) -> RunProgress:
    paused = sfc.state == SfcState.PAUSED and run.state == Run.State.PLAYING
    return RunProgress(
        id=run.pk,
        chat=run.chat.key,
        chat_title=run.chat.title,
        state=Run.State.PAUSED if paused else run.state,
        reason=sfc.state_reason if paused else run.state_reason,
        incident=run.incident,
        planned=counts.total(),
        said=counts[Step.State.SAID],
        not_said=counts[Step.State.NOT_SAID],
        started_at=run.started_at,
        finished_at=run.finished_at,
        steps=[_step_progress(step) for step in steps],
    )


def _step_progress(step: Step) -> StepProgress:
    delivery = step.delivery
    queued = delivery if step.state == Step.State.QUEUED else None
    said = delivery if step.state == Step.State.SAID else None
    return StepProgress(
        id=step.pk,
        line_id=step.line_id,
        position=step.position,
        slot=step.slot_name,
        bot=step.bot.key,
        text=step.text,
        state=step.state,
        reason=step.reason,
        waiting_reason=queued.waiting_reason if queued else "",
        waiting_until=(queued.waiting_until or queued.due_at) if queued else None,
        said_at=said.sent_at if said else None,
        telegram_message_id=said.telegram_message_id if said else None,
    )


def campaign_of_sfc(sfc_id: UUID) -> UUID | None:
    return ScriptForCampaign.objects.filter(pk=sfc_id).values_list("campaign_id", flat=True).first()


def script_names(sfc_ids: Collection[UUID]) -> dict[UUID, str]:
    """The scripts' names by assignment."""
    return dict(ScriptForCampaign.objects.filter(pk__in=sfc_ids).values_list("pk", "script__name"))


def bots_castable() -> QuerySet[Bot]:
    """Accounts that an activation accepts."""
    return bots_suitable(role=Role.ACTOR, barred=UNUSABLE_BOTS, logged_in=True)


def chats_playable() -> QuerySet[Chat]:
    """Chats that an activation accepts as targets now."""
    permitted = permissions_given(purpose=ChatPermission.Grant.SCRIPT, now=Now())
    return Chat.objects.filter(pk__in=permitted.values("chat_id"), label__regex=r"\S")


def sfcs_in_preparation() -> QuerySet[ScriptForCampaign]:
    """As `scripts.services.may_be_activated` has it."""
    unplayed = Q(state=SfcState.FAILED) & ~Exists(Run.objects.filter(sfc=OuterRef("pk")))
    return ScriptForCampaign.objects.filter(Q(state=SfcState.DRAFT) | unplayed)
