"""One readable line for an event. Pure.

Events are known here by their keys and fields alone: most of their classes live on floors above.
"""

from collections.abc import Callable, Mapping
from typing import Any

from messaging.wording import counted

LONGEST = 200
# How the comment of a dead bot ends when its account lives and only its login is gone (bots.events.BotBannedEvent).
LOGIN_GONE = ": it has to be logged in again"

# As `notifier.names.name_of`: the name of what a field's id stands for.
Names = Callable[[str, object], str]


def title_of(routing_key: str, body: Mapping[str, Any], name_of: Names) -> str:
    """At most 200 characters; unknown events get their key, whatever it is."""
    service, _, occurrence = routing_key.partition(".")
    return _line(service, occurrence, body, name_of)[:LONGEST]


def _line(service: str, occurrence: str, body: Mapping[str, Any], name_of: Names) -> str:
    match occurrence:
        case "error":
            return f"Error in {service}: {_one_line(body.get('reason')) or 'no reason given'}"
        case "crash":
            return f"{service} crashed: {_one_line(body.get('reason')) or 'no reason given'}"
        case "banned":
            return _dead(name_of("worker_id", body.get("worker_id", "unknown")), _one_line(body.get("comment")))
        case "started" if "sfc_id" in body:
            return f"Script {name_of('sfc_id', body['sfc_id'])} started in {_number(body.get('chats'), 'chat')}"
        case "finished" if "sfc_id" in body:
            problems = body.get("problems") or []
            how = f"with {_number(problems, 'line')} not said" if problems else "without problems"
            return f"Script {name_of('sfc_id', body['sfc_id'])} finished {how}"
        case "started" | "finished":
            return f"{service} {occurrence}"
    return f"{service}: {occurrence}" if occurrence else service or "An event without a routing key"


def _dead(bot: str, comment: str) -> str:
    why = comment.removesuffix(LOGIN_GONE)
    what = "is banned" if why == comment else "has to be logged in again"
    return f"Bot {bot} {what}: {why or 'no comment'}"


def _one_line(text: object) -> str:
    return " ".join(str(text).split()) if text else ""


def _number(things: object, name: str) -> str:
    return counted(len(things) if isinstance(things, list) else 0, name)
