"""The text of an event in one line. No database access.

Events are recognised by their keys and fields, because most of their classes are in apps that import this one.
"""

from collections.abc import Callable, Mapping
from typing import Any

from outgoing.fitting import shortened
from texts.wording import counted

# The most characters of a title. The advice is usually at the end of a reason, and a shorter title would cut it off.
LONGEST = 500
# How the comment of a dead bot ends if only its login is lost (bots.events.BotBannedEvent).
LOGIN_GONE = ": it has to be logged in again"

# The type of `messaging.event_objects.name_of`.
Names = Callable[[str, object], str]

# Events that may come by the hundreds, by the last word of their key: related ones have the same value in this field.
_BUNDLED = {
    "dead_letter": "queue",
    "approval": "campaign_id",
    "handover": "campaign_id",
    "play_failed": "sfc_id",
}


def bundle_of(routing_key: str, body: Mapping[str, Any]) -> str:
    """The key that related events share, which get one notification when many arrive at once; "" for other events."""
    field = _BUNDLED.get(routing_key.partition(".")[2])
    return f"{routing_key} {body.get(field, '')}"[:200] if field else ""


def title_of(routing_key: str, body: Mapping[str, Any], name_of: Names, *, count: int = 1) -> str:
    """The text, at most LONGEST characters. An unknown event gets its key. `count` is the number of bundled events."""
    return shortened(text_of(routing_key, body, name_of, count=count), LONGEST)


def text_of(routing_key: str, body: Mapping[str, Any], name_of: Names, *, count: int = 1) -> str:
    """The text without a limit."""
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
            how = f"with {_number(problems, 'line')} not sent" if problems else "without problems"
            return f"Script {name_of('sfc_id', body['sfc_id'])} finished {how}"
        case "started" | "finished":
            return f"{service} {occurrence}"
    return f"{service}: {occurrence}" if occurrence else service or "An event without a routing key"


def _operator_needed(occurrence: str, body: Mapping[str, Any], name_of: Names, count: int) -> str:
    """What waits for an operator, and the reason of the last event."""
    match occurrence:
        case "handover":
            campaign = name_of("campaign_id", body.get("campaign_id", "an unknown campaign"))
            waiting = counted(count, f"conversation in {campaign} waits", f"conversations in {campaign} wait")
            text = f"{waiting} for your answer"
        case "approval":
            campaign = name_of("campaign_id", body.get("campaign_id", "an unknown campaign"))
            waiting = counted(count, f"first contact in {campaign} waits", f"first contacts in {campaign} wait")
            text = f"{waiting} for your approval"
        case "dead_letter":
            queue = _one_line(body.get("queue")) or "an unknown queue"
            them = "it" if count == 1 else "them"
            text = f"{counted(count, 'dead letter')} from {queue}: replay, edit or discard {them}"
        case _:
            script = name_of("sfc_id", body.get("sfc_id", "unknown"))
            text = f"{counted(count, 'play')} of script {script} failed"
    return f"{text}. {'Reason' if count == 1 else 'Last reason'}: {_reason(body)}"


def _dead(bot: str, comment: str) -> str:
    why = comment.removesuffix(LOGIN_GONE)
    what = "is banned" if why == comment else "has to be logged in again"
    return f"Account {bot} {what}: {why or 'no reason given'}"


def _reason(body: Mapping[str, Any]) -> str:
    return _one_line(body.get("reason")) or "no reason given"


def _one_line(text: object) -> str:
    return " ".join(str(text).split()) if text else ""


def _number(things: object, name: str) -> str:
    return counted(len(things) if isinstance(things, list) else 0, name)
