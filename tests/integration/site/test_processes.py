"""The processes of the Procfile: their heartbeats, their silence, their ends, and what the panel says of them."""

import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from django.test import Client
from django.utils import timezone

from bots.models import Incident
from coolthing_site.models import Process
from coolthing_site.panel.processes import processes_amiss
from coolthing_site.processes import heartbeat
from coolthing_site.processes.heartbeat import _Heartbeat
from coolthing_site.processes.records import (
    Identity,
    expected_kinds,
    process_beat,
    process_ended,
    process_stopped,
    processes_left_behind,
    service_of,
    silence_check,
)
from messaging.instrumentation import main_loop
from messaging.models import OutboxEvent

pytestmark = pytest.mark.django_db

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def start(kind: str, pid: int = 7, host: str = "laptop") -> Identity:
    identity = Identity(f"{kind} {host}:{pid}", kind, host, pid)
    process_beat(identity=identity)
    return identity


def later(seconds: float, *kinds: str) -> None:
    """So much time passes, in which only processes of these kinds send heartbeats."""
    ago = timedelta(seconds=seconds)
    for row in Process.objects.all():
        row.started_at -= ago
        row.ended_at = row.ended_at and row.ended_at - ago
        if row.kind not in kinds:
            row.heartbeat_at -= ago
        row.save()


def crashes() -> list[str]:
    return list(OutboxEvent.objects.filter(routing_key__endswith=".crash").values_list("routing_key", flat=True))


def amiss() -> dict[str, str]:
    return {process.kind: process.text for process in processes_amiss() if process.kind != "not started"}


def incidents() -> list[str]:
    return sorted(Incident.objects.values_list("key", flat=True))


def test_a_heartbeat_is_one_statement(django_assert_num_queries):
    identity = start("relay")
    with django_assert_num_queries(1):
        process_beat(identity=identity)
    with django_assert_num_queries(2):
        silence_check()


def test_a_silent_process_is_an_incident_once_and_until_it_beats_again():
    scripts = start("scripts")
    start("web")
    later(61, "web")
    assert amiss()["scripts"].startswith("It has sent no heartbeat since ")
    silence_check()
    silence_check()
    assert incidents() == ["process:scripts"]
    assert crashes() == ["scripts.crash"]
    assert "no other scripts process runs" in Incident.objects.get().reason
    process_beat(identity=scripts)
    silence_check()
    assert (incidents(), crashes(), amiss()) == ([], ["scripts.crash"], {})


def test_beat_that_is_silent_is_noticed_by_any_other():
    start("beat")
    start("relay")
    later(61, "relay")
    silence_check()
    assert (incidents(), crashes()) == (["process:beat"], ["admin.crash"])


def test_a_stop_that_was_asked_for_is_no_incident():
    scripts = start("scripts")
    process_stopped(name=scripts.name)
    later(600)
    silence_check()
    assert (incidents(), crashes()) == ([], [])
    assert amiss()["scripts"].startswith("It has not run since ")


def test_an_end_by_itself_is_an_incident_until_it_has_run_again_for_a_while():
    start("web", pid=7)
    process_ended(kind="web", host="laptop", pid=7, how="killed by SIGKILL", delay=1)
    # This one ended before its first heartbeat.
    process_ended(kind="web", host="laptop", pid=8, how="exit code 3", delay=2)
    start("web", pid=9)
    silence_check()
    assert (incidents(), crashes()) == (["process:web"], ["admin.crash"])
    assert Incident.objects.get().count == 2
    text = amiss()["web"]
    assert text.endswith("(exit code 3). It has ended by itself 2 times in the last hour. It runs again.")
    later(61, "web")
    silence_check()
    assert incidents() == []
    later(3600, "web")
    assert amiss() == {}


def test_one_that_was_asked_by_somebody_else_is_one_that_ended_by_itself():
    leads = start("leads")
    process_stopped(name=leads.name)
    process_ended(kind="leads", host="laptop", pid=7, how="exit code 0", delay=1)
    assert Process.objects.get().ended_by_itself


def test_one_that_was_killed_and_replaced_is_reported_once_and_counted():
    start("leads", pid=7)
    later(61)
    start("leads", pid=8)
    silence_check()
    silence_check()
    assert (incidents(), crashes()) == ([], ["manager.crash"])
    assert "leads (pid 7 on laptop)" in OutboxEvent.objects.get().body
    assert amiss()["leads"].endswith("(no heartbeat). It runs again.")


def test_one_that_is_replaced_after_its_silence_was_reported_ends_the_incident_quietly():
    start("leads", pid=7)
    later(61)
    silence_check()
    start("leads", pid=8)
    later(61, "leads")
    Process.objects.filter(pid=7).update(heartbeat_at=timezone.now() - timedelta(seconds=200))
    silence_check()
    assert (incidents(), crashes()) == ([], ["manager.crash"])


def test_of_several_one_is_silent():
    start("leads", pid=7)
    later(61)
    Process.objects.update(started_at=timezone.now())
    start("leads", pid=8)
    Process.objects.filter(pid=8).update(started_at=timezone.now() - timedelta(hours=1))
    silence_check()
    assert "1 other leads process runs" in Incident.objects.get().reason


def test_what_a_host_left_behind_is_no_news():
    start("leads", host="laptop")
    start("leads", host="server")
    processes_left_behind(host="laptop")
    later(61)
    silence_check()
    assert Incident.objects.get().reason.startswith("leads (pid 7 on server)")


def test_after_an_outage_the_others_have_time_before_they_are_missed(time_machine):
    time_machine.move_to("2026-03-01 12:00:00+00:00", tick=False)
    beating = _Heartbeat("web", 7)
    assert not beating._may_judge()
    judged = []
    for _ in range(3):
        time_machine.shift(15)
        judged.append(beating._may_judge())
    assert judged == [False, True, True]
    time_machine.shift(3600)  # the machine slept
    assert not beating._may_judge()


def test_a_process_whose_main_loop_hangs_sends_no_heartbeat_until_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    # The test's transaction is on it.
    monkeypatch.setattr(heartbeat, "connection", SimpleNamespace(close=lambda: None))
    beating = _Heartbeat("beat", 7)
    row = Process.objects.filter(pid=7)

    def beats_after(seconds: float) -> bool:
        monkeypatch.setattr(main_loop, "_turned_at", time.monotonic() - seconds)
        row.update(heartbeat_at=LONG_AGO)
        beating._beat()
        return not row.filter(heartbeat_at=LONG_AGO).exists()

    beating._beat()
    assert row.exists() and beats_after(60)
    assert not beats_after(heartbeat.HANGS_AFTER_SECONDS + 1) and not beats_after(heartbeat.HANGS_AFTER_SECONDS + 2)
    assert caplog.text.count("the main loop has taken no turn for 301 s") == 1
    assert beats_after(0)
    # It waits for as long as it takes.
    monkeypatch.setattr(main_loop, "_turned_at", time.monotonic() - 2 * heartbeat.HANGS_AFTER_SECONDS)
    main_loop.paused()
    row.update(heartbeat_at=LONG_AGO)
    beating._beat()
    assert not row.filter(heartbeat_at=LONG_AGO).exists()


def test_every_process_has_a_service_and_those_that_never_ran_are_named():
    assert {service_of(kind) for kind in expected_kinds()} <= {
        "admin",
        "scripts",
        "scripts_watchdog",
        "manager",
        "notifier",
        "bots",
    }
    assert service_of("leads") == "manager" and service_of("beat") == "admin"
    start("web")
    [never] = processes_amiss()
    assert "relay" in never.text and "web" not in never.text and "flower" not in never.text


def test_the_overview_and_the_list_show_who_is_silent(admin_client: Client):
    start("scripts")
    later(61)
    page = admin_client.get("/admin/").content.decode()
    assert "Processes that need attention" in page and "It has sent no heartbeat since" in page
    assert ">silent<" in "".join(admin_client.get("/admin/coolthing_site/process/").content.decode().split())
