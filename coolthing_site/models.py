"""What the site itself remembers: the processes of the Procfile."""

from django.db import models
from django.db.models.functions import Now


class Process(models.Model):
    """One process from its start to its end: it renews its heartbeat while it lives.

    A frozen, killed or unreachable process has no end here: it is silent. `ended_by_itself` is false for one that was
    asked to stop.
    """

    name = models.CharField(max_length=200, primary_key=True)
    kind = models.CharField(max_length=40, help_text="Its name in the Procfile")
    host = models.CharField(max_length=120)
    pid = models.PositiveIntegerField(help_text="What `kill` takes on that host; of `web` the master's")
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now())
    silence_noted = models.BooleanField(default=False, help_text="Its silence was reported")
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by_itself = models.BooleanField(default=False)
    how = models.CharField("how it ended", max_length=60, blank=True, default="")

    class Meta:
        verbose_name_plural = "processes"
        indexes = [models.Index(fields=["kind", "-heartbeat_at"], name="process_of_kind")]

    def __str__(self) -> str:
        return f"{self.kind} (pid {self.pid} on {self.host})"
