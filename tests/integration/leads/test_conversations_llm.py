"""LLM jobs with a real endpoint and the real client."""

from datetime import timedelta

import pytest
from django.utils import timezone

from bots.models import Delivery
from campaigns.models import Suppression
from campaigns.services import campaign_finish, campaign_pause, campaign_resume
from leads.llm.answers import LlmAnswer
from leads.llm_runner import job_run
from leads.models import Lead, LlmJob, Message
from leads.services.llm_jobs import MOST_ATTEMPTS, job_apply, job_claim, jobs_dispatch_due
from leads.services.operators import conversation_hand_back, conversation_take_over
from messaging.models import OutboxEvent
from outgoing.chat_completions import LlmResponse
from tests.integration.leads_world import make_world, texts
from tests.integration.locks import at_once
from tests.llm_server import llm_server

pytestmark = pytest.mark.django_db


@pytest.fixture
def llm(settings):
    with llm_server() as server:
        settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY = server.url, "sk-test"
        yield server


def soon():
    """When every quiet period and every backoff is over."""
    return timezone.now() + timedelta(minutes=5)


def answer(conversation):
    """Work on the conversation's latest job, as its task does."""
    job = LlmJob.objects.filter(conversation=conversation).latest("epoch")
    job_run(job_id=job.id, now=soon())
    job.refresh_from_db()
    conversation.refresh_from_db()
    return job


def claimed(**facts):
    question = job_claim(**facts)
    assert question is not None
    return question


def decision(action, *messages):
    return LlmResponse(LlmAnswer(messages=list(messages), action=action, reason="a test"), 10, 5)


def test_a_question_is_answered(world, conversation, llm):
    world.incoming(conversation, "How much?")
    job = answer(conversation)
    assert (job.state, job.action, job.attempts) == ("done", "reply", 1)
    assert job.prompt_tokens > 0 and job.completion_tokens > 0
    delivery = Delivery.objects.get(state="queued")
    assert delivery.purpose == "reply" and "5 euros" in delivery.text
    assert world.send_all() == 1
    [request] = llm.llm.requests
    assert request["model"] == "sandbox-1"
    assert [message["role"] for message in request["messages"]] == ["system", "assistant", "user"]


def test_a_burst_is_answered_as_one(world, conversation, llm):
    for text in ("Hi", "I like tea", "How much is it?"):
        world.incoming(conversation, text)
    for job in LlmJob.objects.order_by("epoch"):
        job_run(job_id=job.id, now=soon())
    assert llm.request_count == 1
    assert len(texts(conversation, "ai")) == 2


def test_a_job_does_not_ask_the_llm_before_it_is_due(world, conversation, llm):
    world.incoming(conversation, "How much?")
    job_run(job_id=LlmJob.objects.get().id)
    assert llm.request_count == 0 and LlmJob.objects.get().state == "due"


def test_while_the_campaign_is_paused_the_llm_is_not_asked(world, conversation, llm):
    world.incoming(conversation, "How much?")
    campaign_pause(campaign_id=world.campaign.id)
    assert answer(conversation).state == "due" and jobs_dispatch_due(now=soon()) == 0
    assert llm.request_count == 0
    campaign_resume(campaign_id=world.campaign.id)
    assert answer(conversation).state == "done"


@pytest.mark.parametrize(
    ("over", "lead_state"), [("finished", Lead.State.CLOSED), ("suppressed", Lead.State.OPTED_OUT)]
)
def test_where_nothing_may_be_sent_the_llm_is_not_asked_and_the_conversation_ends(
    world, conversation, llm, over, lead_state
):
    world.incoming(conversation, "How much?")
    if over == "finished":
        campaign_finish(campaign_id=world.campaign.id)
    else:
        # A row that no service wrote.
        Suppression.objects.create(telegram_user_id=501, source="operator")
    assert answer(conversation).state == "stale" and llm.request_count == 0
    assert (conversation.owner, conversation.lead.state) == ("none", lead_state)


def test_a_job_that_is_done_does_not_ask_the_llm_again(world, conversation, llm):
    world.incoming(conversation, "How much?")
    answer(conversation)
    answer(conversation)
    assert llm.request_count == 1 and len(texts(conversation, "ai")) == 2


def test_an_answer_to_a_conversation_that_has_changed_is_dropped(world, conversation):
    world.incoming(conversation, "How much?")
    question = claimed(job_id=LlmJob.objects.get().id, now=soon())
    world.incoming(conversation, "stop talking about prices, when do you open?")
    job_apply(question=question, answered=decision("reply", "5 euros"), now=timezone.now())
    assert len(texts(conversation, "ai")) == 1
    assert LlmJob.objects.earliest("epoch").state == "stale"


def test_an_answer_that_comes_after_a_takeover_is_dropped(world, conversation):
    world.incoming(conversation, "How much?")
    question = claimed(job_id=LlmJob.objects.get().id, now=soon())
    conversation_take_over(conversation_id=conversation.id)
    conversation_hand_back(conversation_id=conversation.id)
    job_apply(question=question, answered=decision("reply", "5 euros"), now=timezone.now())
    assert len(texts(conversation, "ai")) == 1


def test_a_task_that_lost_the_claim_changes_nothing(world, conversation):
    world.incoming(conversation, "How much?")
    job = LlmJob.objects.get()
    slow = claimed(job_id=job.id, now=soon())
    assert job_claim(job_id=job.id, now=soon()) is None
    fast = claimed(job_id=job.id, now=soon() + timedelta(hours=1))
    job_apply(question=fast, answered=decision("reply", "fast"), now=timezone.now())
    job_apply(question=slow, answered=decision("reply", "slow"), now=timezone.now())
    assert texts(conversation, "ai")[1:] == ["fast"]


def test_when_a_lead_asks_for_a_human_the_ai_hands_over_and_is_silent(world, conversation, llm):
    world.incoming(conversation, "May I talk to a human?")
    job = answer(conversation)
    assert (job.action, conversation.owner) == ("handover", "human")
    assert world.send_all() == 1
    assert "colleague" in texts(conversation, "ai")[-1]
    world.incoming(conversation, "Thanks")
    assert not LlmJob.objects.filter(state="due").exists()


def test_a_closing_remark_is_sent_and_the_conversation_ends(world, conversation, llm):
    world.incoming(conversation, "Goodbye")
    answer(conversation)
    assert (conversation.owner, conversation.lead.state) == ("none", Lead.State.CLOSED)
    assert world.send_all() == 1


def test_a_closing_remark_is_not_sent_once_an_operator_has_taken_over(world, conversation, llm):
    world.incoming(conversation, "Goodbye")
    answer(conversation)
    conversation_take_over(conversation_id=conversation.id)
    assert world.send_all() == 0


def test_a_refusal_in_other_words_is_an_opt_out(world, conversation, llm):
    world.incoming(conversation, "I am not interested")
    job = answer(conversation)
    assert (job.action, conversation.owner, conversation.lead.state) == ("opt_out", "none", Lead.State.OPTED_OUT)
    assert Suppression.objects.get().source == "llm"
    assert world.send_all() == 0 and len(texts(conversation, "ai")) == 1


def test_a_lead_who_needs_time_gets_no_message(world, conversation, llm):
    world.incoming(conversation, "I will think about it")
    job = answer(conversation)
    assert (job.action, job.state, conversation.owner) == ("wait", "done", "ai")
    assert world.send_all() == 0


def test_an_answer_sent_late_does_not_hide_the_next_question(world, conversation, llm):
    world.incoming(conversation, "How much?")
    answer(conversation)
    leaving = Delivery.objects.get(state="queued")
    Delivery.objects.filter(id=leaving.id).update(state="sending")
    world.incoming(conversation, "And when do you open?")
    world.sent(leaving)
    job = answer(conversation)
    assert job.action == "reply" and "evenings" in texts(conversation, "ai")[-1]


@pytest.mark.parametrize("fault", ["429", "500"])
def test_a_failing_endpoint_is_asked_again_later(world, conversation, llm, fault):
    llm.fail(fault, seconds=30)
    world.incoming(conversation, "How much?")
    job = answer(conversation)
    assert (job.state, job.attempts, conversation.owner) == ("due", 1, "ai")
    assert fault in job.error and job.claimed_until is None
    wait = job.due_at - timezone.now()
    assert wait > timedelta(seconds=20 if fault == "429" else 0)
    assert answer(conversation).state == "done"


def test_after_many_attempts_an_operator_owns_the_conversation_and_the_team_is_notified(world, conversation, llm):
    llm.fail("500", times=MOST_ATTEMPTS)
    world.incoming(conversation, "How much?")
    for _ in range(MOST_ATTEMPTS):
        job = answer(conversation)
    assert (job.state, conversation.owner, llm.request_count) == ("failed", "human", MOST_ATTEMPTS)
    event = OutboxEvent.objects.get(routing_key="manager.handover")
    assert str(conversation.id) in event.body and "How much" not in event.body


def test_a_malformed_answer_is_asked_for_again_at_once(world, conversation, llm):
    llm.fail("malformed")
    world.incoming(conversation, "How much?")
    assert answer(conversation).state == "done"
    assert llm.request_count == 2


def test_two_malformed_answers_hand_over_to_an_operator(world, conversation, llm):
    llm.fail("malformed", times=2)
    world.incoming(conversation, "How much?")
    job = answer(conversation)
    assert (job.state, conversation.owner) == ("failed", "human")
    assert "does not have the required form" in conversation.owner_reason
    assert OutboxEvent.objects.filter(routing_key="manager.handover").count() == 1


def test_a_due_job_without_a_task_gets_one_and_not_more(world, conversation):
    world.incoming(conversation, "How much?")
    assert jobs_dispatch_due(now=timezone.now()) == 0
    assert jobs_dispatch_due(now=soon()) == 1
    assert jobs_dispatch_due(now=soon()) == 0
    assert jobs_dispatch_due(now=soon() + timedelta(minutes=1)) == 1


def test_a_job_whose_task_died_is_free_again(world, conversation, llm):
    world.incoming(conversation, "How much?")
    job = LlmJob.objects.get()
    job_claim(job_id=job.id, now=soon())
    assert jobs_dispatch_due(now=soon()) == 0
    later = soon() + timedelta(hours=1)
    assert jobs_dispatch_due(now=later) == 1
    job_run(job_id=job.id, now=later)
    job.refresh_from_db()
    assert (job.state, job.attempts) == ("done", 2)


@pytest.mark.django_db(transaction=True)
def test_two_tasks_for_one_job_at_the_same_moment_ask_once(llm):
    world = make_world()
    conversation = world.conversation()
    world.incoming(conversation, "How much?")
    job = LlmJob.objects.get()
    at_once(*[lambda: job_run(job_id=job.id, now=soon())] * 4)
    assert llm.request_count == 1
    assert Message.objects.filter(conversation=conversation, author="ai").count() == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round_", range(5))
def test_a_stop_at_the_moment_of_an_answer_leaves_nothing_to_send(round_):
    world = make_world()
    conversation = world.conversation()
    world.incoming(conversation, "How much?")
    question = claimed(job_id=LlmJob.objects.get().id, now=soon())
    at_once(
        lambda: job_apply(question=question, answered=decision("reply", "one", "two"), now=timezone.now()),
        lambda: world.incoming(conversation, "stop"),
        world.send_all,
    )
    assert Lead.objects.get().state == Lead.State.OPTED_OUT
    assert world.send_all() == 0
    assert not Delivery.objects.filter(state__in=["queued", "sending"]).exists()
