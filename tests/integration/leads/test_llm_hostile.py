"""The real openai client and faulty endpoints: each attempt is counted and ends in time."""

import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from django.utils import timezone

from bots.models import Delivery
from leads.llm_runner import job_run
from leads.models import LlmJob
from leads.services.llm_jobs import CLAIM, MOST_ATTEMPTS, job_claim
from messaging.models import OutboxEvent
from tests.integration.leads_world import make_world, texts
from tests.integration.locks import at_once
from tests.llm_server import completion, drips, hostile_server, http, reset_in_the_middle, says

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
GOOD = completion(says("5 euros"))
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"


def run_jobs(world, conversation, settings, answer, times=1):
    """The conversation's job after so many attempts at an endpoint of this kind; and the endpoint."""
    if not LlmJob.objects.exists():
        world.incoming(conversation, "How much?")
    job = LlmJob.objects.get()
    with hostile_server(answer) as server:
        settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY = server.url, "sk-secret"
        for _ in range(times):
            job_run(job_id=job.id, now=max(timezone.now(), job.due_at) + timedelta(minutes=5))
            job.refresh_from_db()
    conversation.refresh_from_db()
    return job, server


ENDPOINT_FAULTS = {
    "html": http(b"<html>maintenance: How much?</html>"),
    "a list": http([]),
    "a number": http(7),
    "nothing": http(b""),
    "no choices at all": http({"id": "x"}),
    "choices of another kind": http({"choices": "How much?"}),
    "cut off": http(b'{"choices": [{"message": {"content": "How mu'),
    "bytes": http(b"\xff\xfe\x00"),
    "reset": reset_in_the_middle,
    "no http": lambda connection: connection.sendall(b"How much?\r\n\r\n"),
    "hangs up": lambda connection: None,
    "bad gateway": http(b"<html>502</html>", "502 Bad Gateway"),
    "an error of any shape": http(["How much?"], "429 Too Many Requests", Retry_After="nan"),
}


@pytest.mark.parametrize("fault", ENDPOINT_FAULTS)
def test_a_failing_endpoint_costs_an_attempt_that_is_recorded_on_the_job(world, conversation, settings, fault):
    job, _ = run_jobs(world, conversation, settings, ENDPOINT_FAULTS[fault])
    assert (job.state, job.attempts, job.claimed_until, conversation.owner) == ("due", 1, None, "ai")
    assert job.error and "How much" not in job.error and "sk-secret" not in job.error
    assert job.due_at <= timezone.now() + timedelta(minutes=10)
    job, _ = run_jobs(world, conversation, settings, http(GOOD))
    assert (job.state, job.attempts) == ("done", 2)


def test_an_endpoint_that_sends_elsewhere_is_not_followed(world, conversation, settings):
    """Only the environment says where conversations go."""
    with hostile_server(http(GOOD)) as elsewhere:
        job, server = run_jobs(
            world, conversation, settings, http(b"", "307 Temporary Redirect", Location=elsewhere.url)
        )
    assert (job.state, server.request_count, elsewhere.request_count) == ("due", 1, 0)
    assert "307" in job.error and "127.0.0.1" not in job.error


MODEL_FAULTS = {
    "no content": http(completion(None)),
    "no choice": http({"choices": []}),
    "a refusal": http({"choices": [{"message": {"content": None, "refusal": "How much?"}}]}),
    "5 MB": http(completion(says("x" * 5_000_000))),
    "a reply of nothing": http(completion(says())),
    "a reply of spaces": http(completion(says(" \n", "\u200b\u2060"))),
    "a reply of what Telegram drops": http(completion(says("\u030a", "\u2028\u0333 \r", "\u030a\u200b"))),
    "a lone surrogate": http(completion('{"messages": ["\\ud800"], "action": "reply", "reason": ""}')),
    "deep": http(completion("[" * 100_000)),
}


@pytest.mark.parametrize("fault", MODEL_FAULTS)
def test_an_answer_of_no_use_is_asked_for_again_and_then_an_operator_answers(world, conversation, settings, fault):
    job, server = run_jobs(world, conversation, settings, MODEL_FAULTS[fault])
    assert (job.state, job.attempts, server.request_count, conversation.owner) == ("failed", 1, 2, "human")
    assert job.error and "How much" not in conversation.owner_reason
    event = OutboxEvent.objects.get(routing_key="manager.handover")
    assert str(conversation.id) in event.body and "How much" not in event.body
    assert len(texts(conversation, "ai")) == 1


@pytest.mark.parametrize(
    "usage",
    [
        {}, None, [], {"prompt_tokens": None, "completion_tokens": "12"}, {"prompt_tokens": -5},
        {"prompt_tokens": 10**30, "completion_tokens": 1e400}, {"prompt_tokens": True},
        {"prompt_tokens": 10**400, "completion_tokens": -(10**400)}, {"prompt_tokens": 1e308},
    ],
)  # fmt: skip
def test_an_answer_with_odd_usage_is_an_answer(world, conversation, settings, usage):
    job, _ = run_jobs(world, conversation, settings, http(completion(says("5 euros"), usage=usage)))
    assert (job.state, job.error) == ("done", "")
    assert 0 <= job.prompt_tokens <= 10_000_000 and job.completion_tokens in (0, 10_000_000)
    assert Delivery.objects.get(state="queued").text == "5 euros"


def test_of_a_reply_only_the_messages_are_sent_of_which_telegram_keeps_something(world, conversation, settings):
    job, _ = run_jobs(world, conversation, settings, http(completion(says("\u030a", "5 euros\u030a", " \r\u2029"))))
    assert (job.state, job.error) == ("done", "")
    assert texts(conversation, "ai")[1:] == ["5 euros"]


@pytest.mark.parametrize("action", ["reply", "handover", "close", "opt_out"])
def test_what_cannot_be_stored_is_left_out(world, conversation, settings, action):
    job, _ = run_jobs(
        world, conversation, settings, http(completion(says("5\0 euros", action=action, reason="\0" + "x" * 400)))
    )
    assert (job.state, job.action, job.error) == ("done", action, "")
    assert texts(conversation, "ai")[1:] == ([] if action == "opt_out" else ["5 euros"])


@pytest.mark.parametrize(
    ("wait", "least", "most"),
    [
        ("99999999999", HOUR, HOUR),
        ("inf", HOUR, HOUR),
        ("1e999", HOUR, HOUR),
        ("nan", timedelta(0), timedelta(seconds=2)),
        ("-5", timedelta(0), timedelta(seconds=2)),
        ("soon", timedelta(0), timedelta(seconds=2)),
        ("\x80", timedelta(0), timedelta(seconds=2)),
        (format_datetime(datetime.now(UTC) + timedelta(days=400), usegmt=True), HOUR, HOUR),
        (format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True), timedelta(0), timedelta(seconds=2)),
        ("Fri, 31 Dec 99999 23:59:59 GMT", timedelta(0), timedelta(seconds=2)),
    ],
    ids=["huge", "inf", "overflow", "nan", "negative", "a word", "no ascii", "in a year", "in the past", "no date"],
)
def test_a_wait_that_the_endpoint_asks_for_is_bounded(world, conversation, settings, wait, least, most):
    before = timezone.now()
    job, _ = run_jobs(world, conversation, settings, http({}, "429 Too Many Requests", Retry_After=wait))
    assert (job.state, job.attempts) == ("due", 1)
    assert before + least <= job.due_at <= timezone.now() + most


def test_a_wait_in_milliseconds_or_until_a_date_is_kept(world, conversation, settings):
    before = timezone.now()
    job, _ = run_jobs(
        world, conversation, settings, http({}, "429 Too Many Requests", Retry_After_Ms="90000", Retry_After="5")
    )
    assert job.due_at >= before + timedelta(seconds=90)
    at = (timezone.now() + timedelta(minutes=30)).replace(microsecond=0)
    job, _ = run_jobs(
        world, conversation, settings, http({}, "503 Unavailable", Retry_After=format_datetime(at, usegmt=True))
    )
    assert abs(job.due_at - at) < timedelta(minutes=5)
    dates = {"Date": "Fri, 27 Nov 2026 12:00:00 GMT", "Retry_After": "Fri, 27 Nov 2026 12:30:00 GMT"}
    job, _ = run_jobs(world, conversation, settings, http({}, "503 Unavailable", **dates))
    assert abs(job.due_at - at) < timedelta(minutes=5), "the endpoint's clock counts"


def test_an_unexpected_error_is_counted_and_ends_with_an_operator(world, conversation, settings, caplog):
    """As good as any: a key that no header can carry."""
    world.incoming(conversation, "How much?")
    job = LlmJob.objects.get()
    settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY = "http://127.0.0.1:9/v1", "sk-gehe\u0131m"
    for _ in range(MOST_ATTEMPTS):
        job_run(job_id=job.id, now=max(timezone.now(), job.due_at) + timedelta(minutes=5))
        job.refresh_from_db()
    conversation.refresh_from_db()
    assert (job.state, job.attempts, conversation.owner) == ("failed", MOST_ATTEMPTS, "human")
    assert "unexpected UnicodeEncodeError" in job.error
    assert "How much" not in caplog.text and "gehe" not in caplog.text
    assert OutboxEvent.objects.filter(routing_key="manager.handover").count() == 1


def test_a_job_whose_task_is_killed_every_time_ends_with_an_operator(world, conversation):
    world.incoming(conversation, "How much?")
    job, now = LlmJob.objects.get(), timezone.now() + timedelta(minutes=5)
    for attempt in range(1, MOST_ATTEMPTS + 1):
        question = job_claim(job_id=job.id, now=now)
        assert question is not None and question.attempt == attempt
        now += CLAIM + timedelta(seconds=1)
    assert job_claim(job_id=job.id, now=now) is None
    job.refresh_from_db()
    conversation.refresh_from_db()
    assert (job.state, conversation.owner) == ("failed", "human")
    assert (
        f"ended without a result, possibly because its worker stopped, {MOST_ATTEMPTS} attempts"
        in conversation.owner_reason
    )
    assert OutboxEvent.objects.filter(routing_key="manager.handover").count() == 1


@pytest.mark.parametrize("head", [b"", HEAD], ids=["headers", "body"])
def test_an_endpoint_that_drips_meets_the_deadline_and_leaves_nothing_open(
    world, conversation, settings, monkeypatch, head
):
    monkeypatch.setattr("outgoing.chat_completions.TIMEOUT_SECONDS", 0.5)
    threads, files = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    job, server = run_jobs(world, conversation, settings, drips(0.05, head), times=2)
    assert (job.state, job.attempts, server.request_count) == ("due", 2, 2)
    assert "Timeout" in job.error
    assert threading.active_count() <= threads + 1
    assert len(list(Path("/proc/self/fd").iterdir())) <= files + 1


@pytest.mark.django_db(transaction=True)
def test_while_a_request_is_under_way_the_job_sends_no_second_request(settings, monkeypatch):
    monkeypatch.setattr("outgoing.chat_completions.TIMEOUT_SECONDS", 1.0)
    world = make_world()
    conversation = world.conversation()
    world.incoming(conversation, "How much?")
    job = LlmJob.objects.get()
    now = timezone.now() + timedelta(minutes=5)
    with hostile_server(drips(0.05, HEAD)) as server:
        settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY = server.url, "sk-secret"
        at_once(*[lambda: job_run(job_id=job.id, now=now)] * 4)
    assert (server.request_count, server.at_once) == (1, 1)
    job.refresh_from_db()
    assert job.attempts == 1 and "Timeout" in job.error


def test_two_requests_fit_into_a_claim():
    from leads.llm_runner import _MOST_REQUESTS
    from outgoing.chat_completions import TIMEOUT_SECONDS

    assert CLAIM.total_seconds() > _MOST_REQUESTS * TIMEOUT_SECONDS
