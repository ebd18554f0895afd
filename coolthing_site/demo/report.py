"""The demo's report: actual and expected figures, and each difference as a sentence."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F

from bots.models import Bot, Delivery
from campaigns.models import Suppression
from coolthing_site.demo import observe
from coolthing_site.demo.comparison import compare, sent_by
from leads.models import Conversation, Lead
from notifier.models import Notification
from notifier.selectors import collecting
from sandbox.scenario import Scenario

MIN_LINES, MIN_CHATS = 8, 3


@dataclass(frozen=True)
class Outside:
    """The sandbox's data, read after all work has ended."""

    entries: list[dict[str, Any]]
    people: dict[str, Any]
    scenario: Scenario


def build_report(outside: Outside, *, queues: dict[str, int], seconds: float) -> dict[str, Any]:
    """The demo's figures as an object for JSON.

    `queues` contains the number of messages left in each queue. The report's `problems` are empty if everything is as
    expected.
    """
    report: dict[str, Any] = {
        "seconds": round(seconds, 1),
        "scripts": _scripts(),
        "people": outside.people,
        "leads": _leads(outside.scenario),
        "conversations": _by(Conversation, "owner"),
        "opt_outs": _opt_outs(outside),
        "deliveries": _by(Delivery, "state"),
        "notifications": notifications(),
        "bus": observe.bus(),
        "queues": queues,
        "ledger": _ledger(outside),
        "latency_ms": _latency(),
    }
    report["problems"] = problems(report)
    return report


def problems(report: dict[str, Any]) -> list[str]:
    """The problems in the report, a sentence for each."""
    found: list[str] = []
    scripts, leads, bus, ledger = report["scripts"], report["leads"], report["bus"], report["ledger"]
    if len(scripts["by_chat"]) < MIN_CHATS or any(c["planned"] < MIN_LINES for c in scripts["by_chat"].values()):
        found.append(f"too few chats or planned lines: {scripts['by_chat']}")
    if scripts["lines_said"] != scripts["lines_planned"]:
        found.append(f"{scripts['lines_said']} of {scripts['lines_planned']} lines were sent")
    if report["people"]["said"] != report["people"]["of"]:
        found.append(f"people sent {report['people']['said']} of {report['people']['of']} messages")
    found += [f"no lead for {who}" for who in leads["missing"]]
    found += [f"unexpected lead: {who}" for who in leads["unexpected"]]
    found += [f"opted out, but is not suppressed: {who}" for who in report["opt_outs"]["not_honoured"]]
    found += [f"sent after an opt-out: {what}" for what in report["opt_outs"]["said_after"]]
    for queue, expected in bus["expected_by_queue"].items():
        handled = bus["handled_by_queue"].get(queue, 0)
        if handled != expected:
            found.append(f"{queue} handled {handled} of {expected} events")
    if bus["dead_lettered"] or bus["parked"]:
        found.append(f"{bus['dead_lettered']} messages dead-lettered, {bus['parked']} unpublishable in the outbox")
    found += [f"{depth} messages left in {queue}" for queue, depth in report["queues"].items() if depth]
    unsettled = {s: n for s, n in report["deliveries"].items() if s not in ("sent", "cancelled", "refused")}
    if unsettled:
        found.append(f"deliveries that were not sent, cancelled or refused: {unsettled}")
    if report["notifications"].get("sent", 0) == 0 or report["notifications"].keys() - {"sent", "collecting"}:
        found.append(f"notifications: {report['notifications'] or 'none'}")
    for kind in ("missing", "unexpected", "different", "twice"):
        found += [f"ledger, {kind}: {what}" for what in ledger[kind]]
    return found


def _scripts() -> dict[str, Any]:
    by_chat = observe.lines_by_chat()
    return {
        "lines_planned": sum(chat["planned"] for chat in by_chat.values()),
        "lines_said": sum(chat["said"] for chat in by_chat.values()),
        "by_chat": by_chat,
    }


def _leads(scenario: Scenario) -> dict[str, Any]:
    names = {user_id: key for key, user_id in scenario.user_ids().items()}
    rows = Lead.objects.values_list("campaign__slug", "telegram_user_id")
    created = {(slug, names.get(user_id or 0, str(user_id))) for slug, user_id in rows}
    expected = scenario.expected_leads()
    return {
        "created": len(rows),
        "expected": len(expected),
        "expected_hits": len(scenario.expected_hits()),
        "opted_out": Lead.objects.filter(state=Lead.State.OPTED_OUT).count(),
        "by_state": _by(Lead, "state"),
        "missing": sorted(f"{person} in {slug}" for slug, person in expected - created),
        "unexpected": sorted(f"{person} in {slug}" for slug, person in created - expected),
    }


def _opt_outs(outside: Outside) -> dict[str, Any]:
    """The people who opted out in direct chats, whether each is suppressed, and deliveries claimed after that."""
    ids = outside.scenario.user_ids()
    refused = {
        ids[person.key]: person.key
        for person in outside.scenario.people
        if person.behaviour in ("stops", "refuses")
        and any(
            entry["from_user"] == ids[person.key] and entry["text"] == outside.scenario.private_answers(person)[-1]
            for entry in outside.entries
            if entry["peer"] > 0
        )
    }
    suppressed = dict(
        Suppression.objects.filter(telegram_user_id__isnull=False).values_list("telegram_user_id", "created_at")
    )
    sent_after = [
        f"delivery {delivery_id} to {peer_id}"
        for delivery_id, peer_id, counted_at in Delivery.objects.filter(
            peer_id__in=suppressed, state=Delivery.State.SENT
        ).values_list("id", "peer_id", "counted_at")
        if peer_id is not None and counted_at is not None and counted_at > suppressed[peer_id]
    ]
    return {
        "said": len(refused),
        "honoured": len(refused.keys() & suppressed.keys()),
        "not_honoured": sorted(key for user_id, key in refused.items() if user_id not in suppressed),
        "said_after": sent_after,
    }


def _ledger(outside: Outside) -> dict[str, Any]:
    accounts = set(Bot.objects.filter(telegram_user_id__isnull=False).values_list("telegram_user_id", flat=True))
    result = compare(observe.our_ledger(), sent_by({a for a in accounts if a}, outside.entries))
    return {
        "matches": result.matches,
        "matched": result.matched,
        "duplicates": len(result.duplicates),
        "missing": result.missing,
        "unexpected": result.unexpected,
        "different": result.different,
        "twice": result.duplicates,
        "resent_and_deduplicated": sum(entry["repeats"] for entry in outside.entries),
    }


def _latency() -> dict[str, float]:
    values = observe.hit_to_lead_ms()
    return {
        "hit_to_lead_p50": observe.percentile(values, 0.50),
        "hit_to_lead_p99": observe.percentile(values, 0.99),
    }


def notifications() -> dict[str, int]:
    """The number of notifications in each state.

    Queued notifications that wait for further events of their bundle are counted as "collecting".
    """
    waiting = Notification.objects.filter(collecting()).count()
    rows = Notification.objects.exclude(collecting()).values("state").annotate(n=Count("pk")).order_by("state")
    return {row["state"]: row["n"] for row in rows} | ({"collecting": waiting} if waiting else {})


def _by(model: Any, field: str) -> dict[str, int]:
    rows = model.objects.values(name=F(field)).annotate(n=Count("pk")).order_by("name")
    return {row["name"]: row["n"] for row in rows}
