"""What an event says in one line. Pure.

Events are known here by their keys and fields alone: most of their classes live on floors above.
"""

from collections.abc import Callable, Mapping
from typing import Any

from outgoing.fitting import shortened
from texts.wording import counted

# Characters of a title. What to do mostly stands at the end of a reason: a shorter title would cut it off.
LONGEST = 500
# How the comment of a dead bot ends when its account lives and only its login is gone (bots.events.BotBannedEvent).
LOGIN_GONE = ": it has to be logged in again"

# As `messaging.event_objects.name_of`.
Names = Callable[[str, object], str]

# What may come in hundreds, by the last word of its key: the field whose value says which of them belong together.
_BUNDLED = {
    "dead_letter": "queue",
    "approval": "campaign_id",
    "handover": "campaign_id",
    "play_failed": "sfc_id",
}


def bundle_of(routing_key: str, body: Mapping[str, Any]) -> str:
    """What events have in common that are one notification when many come at once; empty: each is one of its own."""
    field = _BUNDLED.get(routing_key.partition(".")[2])
    return f"{routing_key} {body.get(field, '')}"[:200] if field else ""


def title_of(routing_key: str, body: Mapping[str, Any], name_of: Names, *, count: int = 1) -> str:
    """At most LONGEST characters; unknown events get their key, whatever it is. `count`: it is the last of so many."""
    return shortened(text_of(routing_key, body, name_of, count=count), LONGEST)


def text_of(routing_key: str, body: Mapping[str, Any], name_of: Names, *, count: int = 1) -> str:
    """The same in full."""
    service, _, occurrence = routing_key.partition(".")
    return _line(service, occurrence, body, name_of, count)


def _line(service: str, occurrence: str, body: Mapping[str, Any], name_of: Names, count: int) -> str:
    match occurrence:
        case "error":
            return f"Error in {service}: {_reason(body)}"
        case "crash":
            return f"{service} crashed: {_reason(body)}"
        case "banned":
            return _dead(name_of("worker_id", body.get("worker_id", "unknown")), _one_line(body.get("comment")))
        case "handover" | "approval" | "dead_letter" | "play_failed":
            return _operator_needed(occurrence, body, name_of, count)
        case "test" if service == "notifier":
            return "Test: notifications reach this channel"
        case "started" if "sfc_id" in body:
            return f"Script {name_of('sfc_id', body['sfc_id'])} started in {_number(body.get('chats'), 'chat')}"
        case "finished" if "sfc_id" in body:
            problems = body.get("problems") or []
            how = f"with {_number(problems, 'line')} not said" if problems else "without problems"
            return f"Script {name_of('sfc_id', body['sfc_id'])} finished {how}"
        case "started" | "finished":
            return f"{service} {occurrence}"
    return f"{service}: {occurrence}" if occurrence else service or "An event without a routing key"


def _operator_needed(occurrence: str, body: Mapping[str, Any], name_of: Names, count: int) -> str:
    """What has come to wait for an operator, what to do, and the reason of the last one."""
    match occurrence:
        case "handover":
            what = counted(count, "conversation waits", "conversations wait")
            told = f"{what} for an operator in {name_of('campaign_id', body.get('campaign_id', 'no campaign'))}: answer"
        case "approval":
            what = counted(count, "first contact waits", "first contacts wait")
            told = f"{what} in {name_of('campaign_id', body.get('campaign_id', 'no campaign'))}: approve or reject"
        case "dead_letter":
            where = _one_line(body.get("queue")) or "no queue"
            told = f"{counted(count, 'dead letter')} of {where}: replay, edit or discard"
        case _:
            script = name_of("sfc_id", body.get("sfc_id", "unknown"))
            told = f"{counted(count, 'play')} of script {script} failed: see why"
    return f"{told}. {'' if count == 1 else 'The last one: '}{_reason(body)}"


def _dead(bot: str, comment: str) -> str:
    why = comment.removesuffix(LOGIN_GONE)
    what = "is banned" if why == comment else "has to be logged in again"
    return f"Bot {bot} {what}: {why or 'no comment'}"


def _reason(body: Mapping[str, Any]) -> str:
    return _one_line(body.get("reason")) or "no reason given"


def _one_line(text: object) -> str:
    return " ".join(str(text).split()) if text else ""


def _number(things: object, name: str) -> str:
    return counted(len(things) if isinstance(things, list) else 0, name)
