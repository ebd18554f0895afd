"""Beat's schedule. It is code: at each start of beat it overwrites what django-celery-beat has stored."""

from typing import Any

# task → seconds between two runs
PERIODS: dict[str, float] = {
    "bots.tasks.supervise_bots": 2,
    "bots.tasks.repair_deliveries": 5,
    "bots.tasks.advance_cancellations": 2,
    "scripts.tasks.supervise_runs": 5,
    "leads.tasks.dispatch_due": 2,
    "parser.tasks.dispatch_looks": 2,
    "notifier.tasks.dispatch_due": 5,
    "messaging.tasks.prune": 600,
    # Reports each stage of an expiring permission within an hour.
    "campaigns.tasks.tell_expiring": 3600,
    "messaging.tasks_stats.sample_queues": 15,
    "messaging.tasks_replay.advance_replays": 2,
}


def beat_schedule() -> dict[str, dict[str, Any]]:
    """The schedule in Celery's format. Each message expires after its period, so a late worker skips outdated runs.

    `expire_seconds` is django-celery-beat's option. It would silently drop Celery's own option `expires`.
    """
    return {
        task: {"task": task, "schedule": period, "options": {"expire_seconds": period}}
        for task, period in PERIODS.items()
    }
