"""Which services notifications may be sent to through Apprise, and what an address of one may contain. Pure, free of
Django and of Apprise (https://appriseit.com/services/ describes the addresses).

A list of what is allowed: others read local files, run programs, talk to this machine's desktop or log, or load code.
"""

from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

from outgoing.addresses import Allowed
from outgoing.resolving import OutgoingRefused, check_literal

SCHEMAS = frozenset(
    {
        "tgram",  # a Telegram bot (Bot API)
        "mailto", "mailtos",
        "slack", "discord", "gchat", "workflows", "zulip", "webex",
        "matrix", "matrixs", "mmost", "mmosts", "rocket", "rockets",
        "ntfy", "ntfys", "gotify", "gotifys", "pover", "signal", "signals",
        "pagerduty", "opsgenie",
        "json", "jsons", "xml", "xmls", "form", "forms",
    }
)  # fmt: skip
# What may stand behind the question mark. Left out: local files and addresses to fetch (template, pgpkey, attach),
# waits, retries and time limits of Apprise's own, redirects, and certificates that are not verified (verify).
_OPTIONS = frozenset(
    {
        "to", "from", "name", "cc", "bcc", "reply", "user", "pass", "smtp", "mode", "format", "topic", "thread",
        "channel", "silent", "preview", "mdv", "priority", "tags", "method", "region", "category", "severity", "sound",
        "path", "token",
    }
)  # fmt: skip
# Hosts of their own beside the one in front of the path.
_HOSTS = ("smtp",)
# Headers that the connection itself sets: another value would lead the request elsewhere, or break it.
_OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "expect", "upgrade"})
_WITH_HEADERS = frozenset({"json", "jsons", "xml", "xmls", "form", "forms"})
# Of services whose addresses name recipients in the path: how many parts stand in front of them.
_IN_FRONT = {"tgram": 0, "ntfy": 0, "ntfys": 0, "signal": 1, "signals": 1, "zulip": 1}
# One request for all of them.
_TOGETHER = frozenset({"pover"})
SEVERAL = (
    "the address names several recipients: when one of them fails, a repeat would reach the others again. "
    "Make a channel for each"
)
LONGEST = 2000


def service_problem(address: str, allowed: Allowed) -> str:
    """Why notifications cannot be sent to this address; empty when they may be. It repeats nothing of the address."""
    schema = schema_of(address)
    if not schema or not address.isprintable() or len(address) > LONGEST:
        return "an address of Apprise is a URL such as tgram://BOT_TOKEN/CHAT_ID"
    if schema not in SCHEMAS:
        return f"Apprise is used for {', '.join(sorted(SCHEMAS))} only"
    place, _, query = address.partition("?")
    options = options_in(query)
    if problem := options_problem(schema, (name for name, _ in options)):
        return problem
    if ("mode", "insecure") in ((name, value.lower()) for name, value in options):
        return "mode=insecure would send the password in clear: write starttls or ssl"
    if _several(schema, place, options):
        return SEVERAL
    try:
        hosts = [urlsplit(place).hostname or "", *(value for name, value in options if name in _HOSTS)]
    except ValueError:
        return "the address cannot be read"
    try:
        for host in hosts:
            check_literal(_without_port(host), allowed)
    except OutgoingRefused as refused:
        return str(refused)
    return ""


def options_in(query: str) -> list[tuple[str, str]]:
    """As Apprise reads them: all that follows the first question mark, a # included; semicolons separate them, too."""
    pairs = (pair.partition("=") for part in query.split("&") for pair in part.split(";"))
    return [(unquote(name).lower().strip(), unquote(value).strip()) for name, _, value in pairs if name or value]


def options_problem(schema: str, names: Iterable[str]) -> str:
    """Why an address may not have these options, whose names are in lower case; empty when it may."""
    if all(_may_have(schema, name) for name in names):
        return ""
    return f"the address may have these options only: {', '.join(sorted(_OPTIONS))}"


def schema_of(address: str) -> str:
    schema, found, _ = address.partition("://")
    return schema.lower() if found and schema.isascii() and schema.isalnum() else ""


def _may_have(schema: str, option: str) -> bool:
    if option.startswith("+"):
        return schema in _WITH_HEADERS and option[1:].strip().lower() not in _OWN_HEADERS
    return option in _OPTIONS


def _several(schema: str, place: str, options: Iterable[tuple[str, str]]) -> bool:
    """What can be seen of it without Apprise, which knows the rest (`outgoing.through_apprise`)."""
    if schema in _TOGETHER:
        return False
    path = [part for part in place.partition("://")[2].split("/")[1:] if part]
    named = path[_IN_FRONT[schema] :] if schema in _IN_FRONT else []
    named += [part for name, value in options if name == "to" for part in value.split(",") if part.strip()]
    return len(named) > 1


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() and ":" not in name.strip("[]") else host
