import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder

from messaging.broker.routing import Address
from messaging.dead_letters import addresses, bodies, replays, services
from messaging.dead_letters.search import DeadLetterSearch
from messaging.models import DeadLetter
from panelkit import audit
from panelkit.errors import NotPossible
from panelkit.labels import clipped
from panelkit.rights import Shell
from texts import decoding
from texts.wording import counted

EVERYTHING = "--all"
STDIN = "-"


class Command(BaseCommand):
    help = "List, show, edit, replay or discard dead letters: messages that were rejected, expired or unroutable."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        found = actions.add_parser("list", help="list matching dead letters, the newest first")
        found.add_argument(
            "--limit", type=int, default=50, help="the maximum number of dead letters to list (default: 50)"
        )
        _add_filters(found, state="")
        shown = actions.add_parser("show", help="show a dead letter with its body, headers, traceback and history")
        shown.add_argument("id", type=int, metavar="ID")
        edited = actions.add_parser("edit", help="change what a replay of an open dead letter sends")
        edited.add_argument("id", type=int, metavar="ID")
        edited.add_argument("--body", metavar="FILE.json", help="the new body; - reads standard input")
        edited.add_argument("--exchange", choices=addresses.event_exchanges(), help="the new exchange; requires --key")
        edited.add_argument("--key", help="the new routing key, such as lead.CAMPAIGN_ID; requires --exchange")
        edited.add_argument("--as-it-came", action="store_true", help="restore the original exchange and key")
        edited.add_argument("--dry-run", action="store_true", help="show what would be sent without changing anything")
        sent = actions.add_parser(
            "replay", help="send matching open dead letters to their queues again, in the background"
        )
        sent.add_argument(
            "--per-second",
            type=int,
            default=replays.DEFAULT_PER_SECOND,
            help="the maximum number of dead letters to replay per second (default: 50)",
        )
        dropped = actions.add_parser(
            "discard", help="discard matching open dead letters, so that they are never handled"
        )
        dropped.add_argument("--reason", default="", help="the reason, for the record; required without --dry-run")
        for action in (sent, dropped):
            action.add_argument("--dry-run", action="store_true", help="count by queue without changing anything")
            action.add_argument(
                EVERYTHING, action="store_true", help="all open dead letters; required if you give no filter"
            )
            _add_filters(action, state=None)
        for action in (found, shown, edited, sent, dropped):
            action.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['action']}")(options)
        except NotPossible as refusal:
            raise CommandError(str(refusal)) from refusal

    def _list(self, options: dict[str, Any]) -> None:
        letters = _search(options).letters()
        shown = list(letters[: options["limit"]])
        if options["json"]:
            self._print_json([_summary(letter) for letter in shown])
            return
        for letter in shown:
            error = clipped(letter.error, 60)
            where = letter.queue or "unroutable"
            self.stdout.write(
                f"{letter.pk:>6}  {letter.last_seen_at:%Y-%m-%d %H:%M:%S}  {letter.state:<9} {letter.count:>3}×"
                f"  {where:<22} {letter.reason:<14} {letter.routing_key}  {error}"
            )
        total = letters.count()
        self.stdout.write(f"{len(shown)} of {counted(total, 'dead letter')}" if total else "no dead letters")

    def _show(self, options: dict[str, Any]) -> None:
        letter = self._letter(options["id"])
        if options["json"]:
            self._print_json(_details(letter))
            return
        for name, value in _summary(letter).items():
            self.stdout.write(f"{name}: {value}")
        self._section("body", bodies.indented(letter.body))
        if letter.edited_body:
            self._section("edited", "\n".join(bodies.difference(letter.body, letter.edited_body)))
        self._section("headers", json.dumps(letter.headers, indent=2, ensure_ascii=False))
        self._section("x-death", json.dumps(letter.x_death, indent=2, ensure_ascii=False))
        self._section("traceback", letter.traceback)
        self._section("history", "\n".join(_history(letter)))

    def _edit(self, options: dict[str, Any]) -> None:
        letter = self._letter(options["id"])
        body, address = self._new_body(options["body"]), _new_address(options)
        if body is None and address is None:
            raise CommandError("specify what to change: --body, or --exchange and --key")
        seen = services.preview(letter, letter.body_to_send if body is None else body, address)
        if not options["dry_run"]:
            by = audit.command_line_name()
            letter = services.dead_letter_edit(letter_id=letter.pk, body=body, address=address, by=by, holder=Shell())
            audit.record(letter, message=f"Edit, by {by}.", user_id=audit.command_line_user_id())
        if options["json"]:
            address_sent = {
                "exchange": seen.address.exchange,
                "routing_key": seen.address.routing_key,
                "queues": seen.queues,
            }
            self._print_json({**address_sent, "diff": seen.diff, "refusal": seen.refusal})
            return
        self.stdout.write("\n".join(seen.diff) or "the body does not change")
        self.stdout.write(f"published as {seen.address}, to {', '.join(seen.queues) or 'no queue'}")
        self.stdout.write(f"the event would be refused again: {seen.refusal}" if seen.refusal else "the event is valid")

    def _letter(self, letter_id: int) -> DeadLetter:
        letter = DeadLetter.objects.filter(pk=letter_id).first()
        if letter is None:
            raise CommandError(f"there is no dead letter {letter_id}")
        return letter

    def _new_body(self, file: str | None) -> str | None:
        if file is None:
            return None
        try:
            return decoding.only_certain(sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes())
        except OSError as problem:
            raise CommandError(f"{file}: {problem.strerror}") from problem
        except decoding.NotText as problem:
            raise CommandError(f"{file}: {problem}: save it as UTF-8") from None

    def _replay(self, options: dict[str, Any]) -> None:
        search = _chosen(options)
        if options["dry_run"]:
            self._print_dry_run(replays.dry_run(search.letters()), options, "replayed")
            return
        batch = replays.replay_start(
            letters=search.letters(),
            by=audit.command_line_name(),
            user_id=audit.command_line_user_id(),
            what=str(search),
            per_second=options["per_second"],
        )
        total = batch.items.count()
        if options["json"]:
            self._print_json({"batch": batch.pk, "letters": total})
        else:
            self.stdout.write(
                f"replay {batch.pk}: {counted(total, 'dead letter')}, at most {batch.per_second} per second"
            )

    def _discard(self, options: dict[str, Any]) -> None:
        search, reason = _chosen(options), options["reason"].strip()
        letters = search.letters().filter(state=DeadLetter.State.OPEN)
        if options["dry_run"]:
            self._print_dry_run(replays.dry_run(letters), options, "discarded")
            return
        if not reason:
            raise CommandError("give the reason: --reason")
        count = self._discard_each(list(letters.values_list("pk", flat=True)), reason)
        if options["json"]:
            self._print_json({"discarded": count})
        else:
            self.stdout.write(f"{counted(count, 'dead letter was', 'dead letters were')} discarded")

    def _discard_each(self, ids: list[int], reason: str) -> int:
        by, user_id, count = audit.command_line_name(), audit.command_line_user_id(), 0
        for letter_id in ids:
            try:
                letter = services.dead_letter_discard(letter_id=letter_id, reason=reason, by=by)
            except NotPossible as refusal:
                # An operator has replayed or discarded it in the meantime.
                self.stderr.write(f"{letter_id}: {refusal}")
                continue
            audit.record(letter, message=f"Discard, by {by}: {reason}", user_id=user_id)
            count += 1
        return count

    def _print_dry_run(self, counted: replays.DryRun, options: dict[str, Any], verb: str) -> None:
        if options["json"]:
            self._print_json({"queues": counted.by_queue, "skipped": counted.skipped, "total": counted.total})
            return
        for queue, count in counted.by_queue.items():
            self.stdout.write(f"{count:>7}  {queue or 'unroutable'}")
        self.stdout.write(f"{counted.total:>7}  would be {verb}")
        for why, count in counted.skipped.items():
            self.stdout.write(f"{count:>7}  skipped: {why}")

    def _section(self, title: str, text: str) -> None:
        if text:
            self.stdout.write(f"\n{title}\n{text}")

    def _print_json(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, cls=DjangoJSONEncoder))


def _add_filters(parser: ArgumentParser, *, state: str | None) -> None:
    parser.add_argument("ids", nargs="*", type=int, metavar="ID", help="ids of dead letters")
    parser.add_argument(
        "--id", type=int, action="append", default=[], help="another way to give an id; can be repeated"
    )
    parser.add_argument("--event", type=UUID, help="the event's id")
    parser.add_argument("--queue", default="", help="the queue in which the message died, or: unroutable")
    parser.add_argument("--type", default="", help="exchange and key, with * for ids: leads_exchange/lead.*")
    parser.add_argument("--campaign", type=UUID, help="the campaign's id")
    parser.add_argument(
        "--reason-of-death", default="", help="rejected, expired, delivery_limit, unroutable, unpublished"
    )
    parser.add_argument("--error", default="", help="the class of the error, such as BadLead")
    parser.add_argument("--text", default="", help="a text in the body, the reason or the error")
    if state is not None:
        parser.add_argument("--state", default=state, choices=DeadLetter.State.values, help="open, replayed, discarded")


def _new_address(options: dict[str, Any]) -> Address | None:
    exchange, key = options["exchange"], options["key"]
    if options["as_it_came"]:
        return addresses.UNCHANGED
    if (exchange is None) != (key is None):
        raise CommandError("give --exchange and --key together")
    return None if exchange is None else Address(exchange, key)


def _search(options: dict[str, Any]) -> DeadLetterSearch:
    return DeadLetterSearch(
        ids=(*options["ids"], *options["id"]),
        event=options["event"],
        queue=options["queue"],
        type=options["type"],
        campaign=options["campaign"],
        reason=options["reason_of_death"],
        error=options["error"],
        state=options.get("state", ""),
        text=options["text"],
    )


def _chosen(options: dict[str, Any]) -> DeadLetterSearch:
    search = _search(options)
    if search == DeadLetterSearch() and not options["all"]:
        raise CommandError(f"give filters, or {EVERYTHING}")
    return search


def _summary(letter: DeadLetter) -> dict[str, Any]:
    names = (
        "id", "event_id", "queue", "exchange", "routing_key", "event_type", "campaign_id", "state", "reason", "error",
        "count", "first_seen_at", "last_seen_at", "decided_by", "decision_reason",
        "edited_exchange", "edited_routing_key",
    )  # fmt: skip
    return {name: getattr(letter, name) for name in names}


def _details(letter: DeadLetter) -> dict[str, Any]:
    names = ("body", "edited_body", "headers", "x_death", "traceback")
    history = [
        {"at": entry.at, "what": entry.what, "by": entry.by, "note": entry.note, "replay": entry.replay}
        for entry in letter.history.order_by("at", "pk")
    ]
    return {**_summary(letter), **{name: getattr(letter, name) for name in names}, "history": history}


def _history(letter: DeadLetter) -> list[str]:
    return [
        " ".join(filter(None, (f"{entry.at:%Y-%m-%d %H:%M:%S}", entry.what, entry.by, clipped(entry.note, 200))))
        for entry in letter.history.order_by("at", "pk")
    ]
