"""Whatever another program did wrong, an operator can mend its letter, or learns what to do, and can discard it."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

import coolthing_site.urls  # noqa: F401  It registers the pages.
from leads.models import Lead
from messaging.broker import topology
from messaging.consuming.subscriptions import handle
from messaging.dead_letters.bodies import difference, draft
from messaging.dead_letters.replays import dry_run
from messaging.dead_letters.services import (
    dead_letter_discard,
    dead_letter_edit,
    dead_letter_replay,
    preview,
    replay_refusal,
)
from messaging.events import MAX_BODY_BYTES
from messaging.models import DeadLetter, OutboxEvent
from messaging.observability.trace import trace
from panelkit.errors import NotPossible
from panelkit.rights import Shell
from tests.integration.leads_world import World
from tests.integration.letters import archive, death, letter

pytestmark = pytest.mark.django_db

QUEUE, EXCHANGE = topology.LEADS_QUEUE, topology.LEADS_EXCHANGE
Make = Callable[[bytes], DeadLetter]


def _key(world: World) -> str:
    return f"lead.{world.campaign.pk}"


def _died_in(queue: str, exchange: str, key: str, headers: dict[str, Any] | None = None) -> Make:
    came: dict[str, Any] = {"exchange": exchange, "routing-keys": [key]}
    return lambda body: letter(body, death(queue, **came) | (headers or {}))


def _unroutable(exchange: str, key: str, headers: dict[str, Any] | None = None) -> Make:
    def make(body: bytes) -> DeadLetter:
        handle(topology.UNROUTABLE_QUEUE, exchange, key, body, headers)
        return DeadLetter.objects.latest("id")

    return make


def _put_into_the_archive(body: bytes) -> DeadLetter:
    handle(topology.DEAD_LETTER_ARCHIVE_QUEUE, "", topology.DEAD_LETTER_ARCHIVE_QUEUE, body)
    return DeadLetter.objects.latest("id")


def _deliver(row: OutboxEvent, queue: str = QUEUE) -> None:
    handle(queue, row.exchange, row.routing_key, row.body.encode(), row.headers)


ORIGINALS = {topology.ORIGINAL_EXCHANGE_HEADER: "nowhere", topology.ORIGINAL_ROUTING_KEY_HEADER: "no.key"}
# How a lead became a dead letter, where its replay with the right exchange and key goes, and what the page shows.
MISPUBLISHED: dict[str, tuple[Make, bool, str]] = {
    "a key without an id": (_died_in(QUEUE, EXCHANGE, "lead."), True, ""),
    "a key with a word too many": (_unroutable(EXCHANGE, "lead.a.b"), False, ""),
    "another exchange": (_unroutable(topology.SCRIPTS_EXCHANGE, "lead.1"), False, ""),
    "a mistyped queue": (_unroutable(topology.TASKS_EXCHANGE, "lead_queue"), False, ""),
    "false headers of a replay": (_died_in(QUEUE, EXCHANGE, "lead.1", ORIGINALS), True, ""),
    "false headers, unroutable": (_unroutable(EXCHANGE, "lead.a.b", ORIGINALS), False, ""),
    "a queue of tasks": (
        _died_in(topology.LLM_QUEUE, "", topology.LLM_QUEUE),
        False,
        "the message is for none of the tasks of llm_queue. If it is an event, choose another",
    ),
    "another subscription": (_died_in(topology.NOTIFIER_QUEUE, "", topology.NOTIFIER_QUEUE), False, ""),
    "a queue that is gone": (
        _died_in("old_queue", EXCHANGE, "lead.1"),
        False,
        "the queue old_queue has no subscriber any more: choose another exchange and routing key (Edit), or discard "
        "the dead letter",
    ),
    "the archive itself": (
        _put_into_the_archive,
        False,
        "the message was published directly to dead_letter_archive_queue, which handles no events: choose another",
    ),
}


@pytest.mark.parametrize("what", MISPUBLISHED)
def test_an_operator_gives_it_the_exchange_and_key_that_were_meant(world: World, what: str):
    make, by_name, reason = MISPUBLISHED[what]
    dead = make(json.dumps(world.event()).encode())
    assert replay_refusal(dead).startswith(reason) if reason else replay_refusal(dead) == ""
    address = (EXCHANGE, _key(world))
    assert (preview(dead, dead.body, address).queues, preview(dead, dead.body, address).refusal) == ([QUEUE], "")
    dead_letter_edit(letter_id=dead.pk, address=address, by="ann", holder=Shell())
    assert dry_run(DeadLetter.objects.all()).by_queue == {QUEUE if by_name else "": 1}
    dead_letter_replay(letter_id=dead.pk, by="ann")
    row = OutboxEvent.objects.get(event_id=dead.event_id)
    assert (row.exchange, row.routing_key) == ((topology.TASKS_EXCHANGE, QUEUE) if by_name else address)
    _deliver(row)
    assert Lead.objects.get().event_id == dead.event_id
    story = trace(dead.event_id)
    assert (story.exchange, story.routing_key) == address
    assert {arrival.state for arrival in story.arrivals if arrival.queue == QUEUE} == {"handled"}
    assert dead.history.get(what="replayed").note == f"published as {EXCHANGE} / {_key(world)}"


@pytest.mark.parametrize("what", MISPUBLISHED)
def test_it_can_be_discarded(world: World, what: str):
    dead = MISPUBLISHED[what][0](b"{}")
    assert dead_letter_discard(letter_id=dead.pk, reason="a mistake", by="ann").state == "discarded"


ENCODED: dict[str, tuple[Callable[[str], bytes], str]] = {
    "UTF-16 with a mark": (lambda text: text.encode("utf-16"), "in UTF-16, little-endian"),
    "UTF-16 without one": (lambda text: text.encode("utf-16-be"), "in UTF-16, big-endian"),
    "Windows-1251": (lambda text: text.encode("cp1251"), "in Windows-1251"),
    "gzip": (lambda text: gzip.compress(text.encode()), "compressed and in UTF-8"),
}


@pytest.mark.parametrize("how", ENCODED)
def test_a_body_in_another_encoding_is_decoded_for_editing(world: World, how: str):
    encode, note = ENCODED[how]
    event = world.event(message="Где купить хороший чай?")
    dead = _died_in(QUEUE, EXCHANGE, _key(world), {"content_encoding": "gzip"})(
        encode(json.dumps(event, ensure_ascii=False))
    )
    assert "edit the body" in replay_refusal(dead)
    begun = draft(dead)
    assert note in begun.note
    dead_letter_edit(letter_id=dead.pk, body=begun.text, by="ann", holder=Shell())
    dead_letter_replay(letter_id=dead.pk, by="ann")
    _deliver(OutboxEvent.objects.get(event_id=dead.event_id))
    assert Lead.objects.get().message == "Где купить хороший чай?"


def test_the_editor_gives_the_reason_why_a_body_is_not_text():
    assert "The body cannot be read as text: it is a spreadsheet" in draft(letter(b"PK\x03\x04\xff\0")).note
    assert "has more than" in draft(letter(gzip.compress(b" " * (MAX_BODY_BYTES + 1)))).note


@pytest.mark.parametrize("version", ["2", "latest"])
def test_saving_the_body_removes_an_unsupported_version(world: World, version: str):
    dead = _died_in(QUEUE, EXCHANGE, _key(world), {topology.VERSION_HEADER: version})(
        json.dumps(world.event()).encode()
    )
    assert preview(dead, dead.body).refusal == ""
    dead_letter_edit(letter_id=dead.pk, body=dead.body, by="ann", holder=Shell())
    dead_letter_replay(letter_id=dead.pk, by="ann")
    _deliver(OutboxEvent.objects.get(event_id=dead.event_id))
    assert Lead.objects.count() == 1


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (
            ("leads", "lead.1"),
            "the exchange 'leads' has no events: choose one of scripts_exchange, ",
        ),
        ((topology.TASKS_EXCHANGE, QUEUE), "the exchange 'tasks' has no events"),
        ((EXCHANGE, ""), r"choose a routing key of leads_exchange: lead\.\{campaign_id\}$"),
        ((EXCHANGE, "lead."), r"leads_exchange has no event with the routing key 'lead\.'; its routing keys: lead"),
        ((EXCHANGE, "lead.1.2"), r"leads_exchange has no event with the routing key 'lead\.1\.2'"),
        ((EXCHANGE, "lead." + "1" * 255), "the routing key has 260 characters; the maximum is 255"),
        ((topology.EVENTS_EXCHANGE, "a\0.error"), "the routing key contains a NUL character"),
        ((EXCHANGE, "lead.2"), "the campaign_id is '2' in the routing key and '1' in the body: use the same value"),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused_in_words(address: tuple[str, str], reason: str):
    dead = letter(b'{"campaign_id": "1"}')
    with pytest.raises(NotPossible, match=reason):
        dead_letter_edit(letter_id=dead.pk, address=address, by="ann", holder=Shell())
    dead.refresh_from_db()
    assert not dead.is_readdressed


def test_a_preview_shows_what_the_chosen_type_lacks():
    dead = letter(b'{"reason": "x"}')
    seen = preview(dead, dead.body, (topology.SCRIPTS_EXCHANGE, "admin.script_created"))
    assert seen.queues == [topology.SCRIPTS_QUEUE, topology.SCRIPTS_WATCHDOG_QUEUE]
    assert seen.refusal == "not a NewActiveScript: script_for_campaign_id: Field required"


def test_an_address_is_reset_and_a_replay_that_dies_again_keeps_it(world: World):
    dead = _died_in(QUEUE, EXCHANGE, "lead.")(json.dumps(world.event()).encode())
    dead_letter_edit(letter_id=dead.pk, address=(EXCHANGE, _key(world)), by="ann", holder=Shell())
    dead_letter_replay(letter_id=dead.pk, by="ann")
    row = OutboxEvent.objects.get(event_id=dead.event_id)
    again: dict[str, Any] = {"exchange": row.exchange, "routing-keys": [row.routing_key]}
    archive(row.body.encode(), row.headers | death(**again))
    dead = DeadLetter.objects.get()
    assert (dead.state, dead.count, dead.routing_key, dead.edited_routing_key) == ("open", 2, "lead.", _key(world))
    assert (
        dead_letter_edit(letter_id=dead.pk, address=(EXCHANGE, "lead."), by="ann", holder=Shell()).is_readdressed
        is False
    )
    assert dead.history.latest("pk").note == "changed back to the original message"


def test_a_body_that_is_too_large_is_shortened():
    dead = letter(json.dumps({"message": "x" * MAX_BODY_BYTES}).encode())
    assert "too large" in replay_refusal(dead)
    with pytest.raises(NotPossible, match="shorten it"):
        dead_letter_edit(
            letter_id=dead.pk, body=json.dumps({"message": "y" * MAX_BODY_BYTES}), by="ann", holder=Shell()
        )
    # Its indentation is not what makes it too large.
    numbers = json.dumps({"numbers": [1] * 300_000}, indent=8)
    assert (
        len(numbers)
        > MAX_BODY_BYTES
        > len(dead_letter_edit(letter_id=dead.pk, body=numbers, by="ann", holder=Shell()).edited_body)
    )


def test_large_bodies_are_compared_without_end():
    before, after = ({"numbers": [*range(start, start + 100_000)]} for start in (0, 50_000))
    shown = difference(json.dumps(before), json.dumps(after))
    assert (shown[2], shown[3], len(shown)) == ("@@ -3,100000 +3,100000 @@", "-    0,", 2004)
    after = {"numbers": [*range(99_999), -1]}
    assert difference(json.dumps(before), json.dumps(after))[3:] == ["-    99999", "+    -1"]


# In the panel and on the command line.


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("olga"))
    return client


def _page(name: str, dead: DeadLetter) -> str:
    return reverse(f"admin:messaging_deadletter_{name}", args=(dead.pk,))


def test_the_page_suggests_and_keeps_an_address(client: Client, world: World):
    dead = _died_in(QUEUE, EXCHANGE, "lead.")(json.dumps(world.event()).encode())
    page = client.get(_page("edit", dead)).content.decode()
    assert f'value="{_key(world)}"' in page and "leads_exchange: lead.{campaign_id}." in page
    typed = {"exchange": EXCHANGE, "routing_key": _key(world), "body": dead.body}
    seen = client.post(_page("edit", dead), {**typed, "step": "preview"}).content.decode()
    assert "The body is unchanged." in seen and "reaches leads_queue" in seen and "is a valid event of its type" in seen
    refused = client.post(_page("edit", dead), {**typed, "routing_key": "lead.x", "step": "preview"}).content.decode()
    assert "the campaign_id is &#x27;x&#x27; in the routing key" in refused
    client.post(_page("edit", dead), {**typed, "step": "replay"})
    assert "The event has not been handled yet" in client.get(_page("change", dead)).content.decode()
    _deliver(OutboxEvent.objects.get(event_id=dead.event_id))
    assert Lead.objects.count() == 1
    assert "The event was handled in leads_queue at" in client.get(_page("change", dead)).content.decode()


def test_a_body_beyond_the_limit_of_a_form_is_downloaded_and_uploaded(client: Client, world: World, settings: Any):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100 * 1024
    event = {**world.event(), "numbers": [1] * 10_000}
    dead = letter(json.dumps({**event, "chat_id": "none"}).encode())
    assert "too large for this page" in client.get(_page("edit", dead)).content.decode()
    assert client.get(_page("body", dead)).content == dead.body.encode()
    file = SimpleUploadedFile("letter.json", json.dumps(event, separators=(",", ":")).encode("utf-8-sig"))
    answer = client.post(_page("edit", dead), {"file": file, "step": "preview"}, follow=True)
    assert answer.redirect_chain == [(_page("change", dead), 302)]
    assert "has been saved. The next replay sends it as edited." in answer.content.decode()
    dead_letter_replay(letter_id=dead.pk, by="ann")
    _deliver(OutboxEvent.objects.get(event_id=dead.event_id))
    assert Lead.objects.count() == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"x" * (MAX_BODY_BYTES + 1), "The file has 1048577 bytes; the maximum is 1048576."),
        (b'{"a": "\xff"}', "it is not UTF-8: invalid start byte at byte 7, line 1. Save it as UTF-8."),
        (b"[1]", "the body is JSON, but not an object"),
    ],
)
def test_a_file_that_is_no_body_is_refused_in_words(client: Client, content: bytes, reason: str):
    dead = letter()
    answer = client.post(_page("edit", dead), {"file": SimpleUploadedFile("x.json", content), "step": "preview"})
    assert reason in answer.content.decode()


def test_a_viewer_may_download_and_not_edit():
    dead, reader = letter(), User.objects.create_user("rita", is_staff=True)
    client = Client()
    client.force_login(reader)
    assert client.get(_page("body", dead)).status_code == 403
    reader.user_permissions.add(Permission.objects.get(codename="view_deadletter"))
    assert client.get(_page("body", dead)).status_code == 200
    assert client.get(_page("edit", dead)).status_code == 403


def test_the_command_edits_as_the_page_does(world: World, tmp_path, capsys):
    dead = _died_in(QUEUE, EXCHANGE, "lead.")(b'{"campaign_id": "1"}')
    file = tmp_path / "body.json"
    file.write_text(json.dumps(world.event(id=...)), encoding="utf-8-sig")
    edit = ["dead_letters", "edit", str(dead.pk), "--exchange", EXCHANGE, "--key", _key(world), "--body", str(file)]
    call_command(*edit, "--dry-run")
    assert f"published as {EXCHANGE} / {_key(world)}, to leads_queue\nthe event is valid" in capsys.readouterr().out
    dead.refresh_from_db()
    assert not dead.is_readdressed
    call_command(*edit)
    dead_letter_replay(letter_id=dead.pk, by="ann")
    _deliver(OutboxEvent.objects.get(event_id=dead.event_id))
    assert Lead.objects.count() == 1
    for wrong, reason in (
        (["--key", "x"], "give --exchange and --key together"),
        ([], "specify what to change"),
        (["--body", "no"], "No such"),
    ):
        with pytest.raises(CommandError, match=reason):
            call_command("dead_letters", "edit", str(dead.pk), *wrong)
