"""What the site itself remembers: the processes of the Procfile, the tokens of its API, and its requests."""

from django.conf import settings
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


class ApiToken(models.Model):
    """A program's way into the API: it may do what its owner may do. The key itself is nowhere.

    `digest` is the SHA-256 of the key in hexadecimal digits.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100, help_text="The program that uses it")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="To the minute")

    class Meta:
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.name} of {self.user}"


class RequestCount(models.Model):
    """Requests to the API that one limit has counted in its span (`coolthing_site.api.limits`)."""

    key = models.CharField(max_length=120, unique=True, help_text="What is counted, and of whom")
    count = models.PositiveIntegerField()
    ends_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = "API request count"

    def __str__(self) -> str:
        return self.key
