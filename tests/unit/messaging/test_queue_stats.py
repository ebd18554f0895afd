"""Statistics of the queues: the age of the oldest message, and the chart of the last hour."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from coolthing_site.panel.charts import chart
from coolthing_site.processes.beat_schedule import PERIODS
from messaging.models import QueueSample
from messaging.observability.queue_stats import SAMPLE_SECONDS, HeadAge, Snapshot, head_age

START = datetime(2026, 11, 23, 12, tzinfo=UTC)


def looks(*figures: tuple[int, int]) -> list[QueueSample]:
    """Samples 15 seconds apart of (waiting, published)."""
    return [
        QueueSample(
            at=START + timedelta(seconds=SAMPLE_SECONDS * number),
            queue="leads_queue",
            ready=waiting,
            unacked=0,
            consumers=1,
            published=published,
            publish_rate=0,
            ack_rate=0,
        )
        for number, (waiting, published) in enumerate(figures)
    ]


def age_of(*figures: tuple[int, int]) -> HeadAge | None:
    """At the moment of the last look."""
    samples = looks(*figures)
    return head_age(samples, samples[-1].at if samples else START)


def test_an_empty_queue_has_no_waiting_message():
    assert age_of((5, 5), (0, 9)) == HeadAge(0.0)


def test_the_head_came_after_the_look_that_had_counted_all_before_it():
    # 10 wait of 40: the head is the 31st, and at the second look 30 had come.
    assert age_of((10, 20), (10, 30), (10, 35), (10, 40)) == HeadAge(30.0)


def test_a_message_that_is_not_counted_yet_is_as_old_as_the_queue_was_empty():
    assert age_of((0, 100), (0, 100), (1, 100)) == HeadAge(15.0)


def test_what_was_there_before_the_first_look_is_older_than_it():
    assert age_of((10, 30), (10, 30), (10, 30)) == HeadAge(30.0, at_least=True)


def test_unacked_messages_wait_as_well():
    samples = looks((0, 3), (0, 4))
    samples[1].unacked = 1
    assert head_age(samples, samples[1].at) == HeadAge(15.0)


def test_counts_from_before_a_restart_of_the_broker_are_not_used():
    # After it 20 of 60 wait, the head is the 41st since; the 500 belonged to another life.
    assert age_of((3, 500), (20, 40), (20, 60)) == HeadAge(15.0)


def test_dead_letters_are_not_counted_as_published_so_their_age_may_be_unknown():
    assert age_of((2, 0), (3, 0)) is None
    assert age_of((0, 0), (2, 0), (3, 0)) == HeadAge(30.0)
    assert age_of() is None


def test_figures_are_stale_after_three_periods_and_without_any():
    assert not Snapshot({}, 3.0 * SAMPLE_SECONDS).is_stale
    assert Snapshot({}, 3.0 * SAMPLE_SECONDS + 1).is_stale
    assert Snapshot({}, None).is_stale


def test_the_schedule_has_the_period_that_ages_are_judged_by():
    assert PERIODS["messaging.tasks_stats.sample_queues"] == SAMPLE_SECONDS


HOUR = timedelta(hours=1)
GAP = timedelta(seconds=45)


@pytest.mark.parametrize(
    ("minutes", "commands"),
    [((), ""), ((30,), "Mh"), ((59, 59.5, 60), "MLL"), ((10, 10.5, 40, 40.5), "MLML"), ((10, 30, 50, 50.5), "MhMhML")],
    ids=["nothing", "one look", "a row of looks", "a gap", "looks alone"],
)
def test_a_chart_is_broken_where_samples_are_missing(minutes: tuple[float, ...], commands: str):
    points = [(START + timedelta(minutes=minute), 1.0) for minute in minutes]
    drawn = chart(points, until=START + HOUR, span=HOUR, gap=GAP).line
    assert "".join(letter for letter in drawn if letter.isalpha()) == commands


def heights(line: str) -> list[float]:
    return [float(height) for height in re.findall(r"[ML][\d.]+ ([\d.]+)", line)]


def test_a_chart_begins_at_nothing_and_ends_at_its_highest_value():
    points = [(START, 0.0), (START + timedelta(seconds=15), 8.0)]
    drawn = chart(points, until=START + HOUR, span=HOUR, gap=GAP)
    low, high = heights(drawn.line)
    assert drawn.most == 8.0
    assert 0 <= high < low <= drawn.height


def test_an_idle_queue_is_drawn_as_a_flat_line_at_the_bottom():
    points = [(START, 0.0), (START + timedelta(seconds=15), 0.0)]
    drawn = chart(points, until=START + HOUR, span=HOUR, gap=GAP)
    assert drawn.most == 0.0
    bottom, end = heights(drawn.line)
    assert drawn.height - 2 < bottom == end <= drawn.height
