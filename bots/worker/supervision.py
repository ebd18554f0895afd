"""The supervision of bots: sends each bot that should run and does not to a worker with a free slot."""

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, Sum
from django.db.models.functions import Now

from bots.accounts.incidents import STARTING, incident_close, incident_report, incident_report_lasting, incidents_forget
from bots.accounts.states import BARRED, bot_set_state
from bots.chats.identity import reference_incidents_close
from bots.chats.permission_suspension import suspension_incidents_close
from bots.chats.wanted import bots_wanted
from bots.models import Bot, BotSession, Cursor, Incident, Role
from bots.roles import handler_of
from bots.worker.cursors import chats_forget
from bots.worker.hosts import hosts_alive, hosts_beating, hosts_forget, worker_of
from messaging.broker import topology
from messaging.publishing.celery_tasks import send_to_queue_rollback_unsafe
from messaging.rounds import all_of, for_each

RUN_BOT = "bots.tasks.run_bot"
QUEUES: dict[str, str] = {
    Role.ACTOR: topology.ACTOR_BOTS_QUEUE,
    Role.PARSER: topology.PARSER_BOTS_QUEUE,
    Role.MANAGER: topology.MANAGER_BOTS_QUEUE,
}
# Seconds within which a worker must take the lease of a bot that was sent to it. The message expires after this time,
# so no two workers get the same bot.
DISPATCH_SECONDS = 8
# The prefix of the keys of incidents about lost workers; the host's name follows.
_LOST_WORKER = "worker:"

log = logging.getLogger(__name__)


def supervise(now: datetime, *also: Callable[[], object]) -> list[UUID]:
    """Do one round. Returns the bots that were sent to workers. Several processes may run it at the same time.

    `also` are functions of higher packages for the same round. If one part fails, the others still run.
    """
    sent: list[UUID] = []

    def start(role: str) -> None:
        sent.extend(_supervise_role(role, now))

    all_of(
        mark_abandoned,
        waits_over,
        workers_back,
        hosts_forget,
        suspension_incidents_close,
        reference_incidents_close,
        incidents_forget,
        *also,
        *(partial(unread_chats_forget, role, now) for role in Role.values),
        *(partial(start, role) for role in Role.values),
    )
    return sent


def mark_abandoned() -> list[UUID]:
    """Set bots whose leases have expired offline, and report the lost worker. Returns these bots."""
    expired = Bot.objects.filter(lease_expires_at__lte=Now()).values_list("pk", "lease_epoch", "lease_owner")
    return [bot_id for bot_id in for_each(list(expired), lambda bot: _abandon(*bot), what="bot") if bot_id is not None]


@transaction.atomic
def _abandon(bot_id: UUID, epoch: int, owner: str) -> UUID | None:
    expired = Bot.objects.filter(pk=bot_id, lease_epoch=epoch, lease_expires_at__lte=Now())
    if not expired.update(lease_owner="", lease_expires_at=None):
        return None
    log.warning("bot %s: its worker has stopped", bot_id)
    bot_set_state(bot_id=bot_id, epoch=epoch, state=Bot.State.OFFLINE, reason="Its worker has stopped")
    incident_report(key=_lost_worker(owner), reason=f"the worker {owner} stopped without releasing its accounts")
    return bot_id


def waits_over() -> None:
    """Set bots offline whose wait for Telegram is over, even if they need not be connected now."""
    over = Bot.objects.filter(state=Bot.State.WAITING, state_until__lte=Now(), lease_expires_at__isnull=True)

    def end(bot: tuple[UUID, int]) -> None:
        bot_set_state(bot_id=bot[0], epoch=bot[1], state=Bot.State.OFFLINE, reason="The flood wait is over")

    for_each(list(over.values_list("pk", "lease_epoch")), end, what="bot")


def workers_back() -> None:
    """Close the incidents about lost workers that send heartbeats again, or that were restarted."""
    known = Incident.objects.filter(key__startswith=_LOST_WORKER).values_list("key", flat=True)
    beating = {worker_of(name) for name in hosts_beating()} if known else set()
    for key in known:
        if worker_of(key.removeprefix(_LOST_WORKER)) in beating:
            incident_close(key=key)


def _lost_worker(owner: str) -> str:
    return f"{_LOST_WORKER}{owner}"


def unread_chats_forget(role: str, now: datetime) -> None:
    """Delete the cursors of chats that bots need not read now, for bots that no process drives.

    The session of a running bot deletes its own.
    """
    handler = handler_of(role)
    if handler is None or not handler.reads_chats:
        return
    in_chats = Exists(Cursor.objects.filter(bot_id=OuterRef("pk"), peer_id__lt=0))
    idle = Bot.objects.filter(in_chats, role=role, lease_expires_at__isnull=True)
    wanted = handler.wanted(now)

    def forget(bot_id: UUID) -> None:
        chats = handler.chats(bot_id) if bot_id in wanted else []
        chats_forget(bot_id=bot_id, but={telegram_id for chat in chats for telegram_id in chat.ids_read})

    for_each(list(idle.values_list("pk", flat=True)), forget, what="bot")


def _supervise_role(role: str, now: datetime) -> list[UUID]:
    candidates = to_be_started(role, now)
    no_host = f"{STARTING}{role}"
    if not candidates:
        # No bot waits for a worker or a free slot, perhaps because the bots are no longer needed.
        incident_close(key=no_host)
        _report_missing_slots(role, 0)
        return []
    free = free_capacity(role)
    if free is None:
        reason = f"{len(candidates)} {role} accounts should run, but no {role} worker is running"
        incident_report_lasting(key=no_host, reason=reason)
        return []
    incident_close(key=no_host)
    _report_missing_slots(role, len(candidates) - free)
    return dispatch(role, candidates[: max(free, 0)])


def _report_missing_slots(role: str, missing: int) -> None:
    key = f"capacity:{role}"
    if missing > 0:
        incident_report(key=key, reason=f"the {role} workers have no free slots for {missing} more accounts")
    else:
        incident_close(key=key)


def to_be_started(role: str, now: datetime) -> list[UUID]:
    """The bots of a role that should run, do not run and were not just sent to a worker; the longest waiting first."""
    wanted = bots_wanted(role=role, now=now)
    if not wanted:
        return []
    ready = Bot.objects.filter(
        Exists(BotSession.objects.filter(bot_id=OuterRef("pk"))), pk__in=wanted, role=role, enabled=True
    ).exclude(state__in=BARRED)
    # Only a wait of the whole account: during a flood wait for single methods a bot can be connected and read.
    must_wait = Q(blocked_until__gt=now)
    free = ready.filter(lease_expires_at__isnull=True).exclude(must_wait).filter(_not_dispatched())
    return list(free.order_by(F("dispatched_at").asc(nulls_first=True), "pk").values_list("pk", flat=True))


def _not_dispatched() -> Q:
    return Q(dispatched_at__isnull=True) | Q(dispatched_at__lte=Now() - timedelta(seconds=DISPATCH_SECONDS))


def free_capacity(role: str) -> int | None:
    """How many more bots the running workers of a role can take; None if there is no worker."""
    hosts = hosts_alive(role)
    total = hosts.aggregate(total=Sum("capacity"))["total"]
    if total is None:
        return None
    here = Q(lease_owner__in=hosts.values("name"), lease_expires_at__isnull=False)
    on_their_way = Q(lease_expires_at__isnull=True) & ~_not_dispatched()
    return int(total - Bot.objects.filter(role=role).filter(here | on_their_way).count())


def dispatch(role: str, bot_ids: Iterable[UUID]) -> list[UUID]:
    """Send each bot to the role's queue, unless another process has just done so. Returns the bots that were sent."""
    sent = []
    for bot_id in bot_ids:
        claimed = Bot.objects.filter(_not_dispatched(), pk=bot_id, lease_expires_at__isnull=True)
        if not claimed.update(dispatched_at=Now()):
            continue
        try:
            send_to_queue_rollback_unsafe(RUN_BOT, str(bot_id), queue=QUEUES[role], expires=DISPATCH_SECONDS)
        except Exception:
            Bot.objects.filter(pk=bot_id).update(dispatched_at=None)
            raise
        sent.append(bot_id)
    return sent
