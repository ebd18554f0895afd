"""The processes of the Procfile, the tokens of the API, and the counters of its requests."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class Process(models.Model):
    """A process from its start to its end. A live process renews its heartbeat.

    A frozen, killed or unreachable process has no `ended_at`, but its heartbeat is old: it is silent. `ended_by_itself`
    is false if the process was asked to stop.
    """

    name = models.CharField(max_length=200, primary_key=True)
    kind = models.CharField(max_length=40, help_text="The process's name in the Procfile")
    host = models.CharField(max_length=120)
    pid = models.PositiveIntegerField(help_text="The process id on the host; for web, the id of the master process")
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now())
    silence_noted = models.BooleanField(default=False, help_text="Whether the missing heartbeat was reported")
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by_itself = models.BooleanField(default=False)
    how = models.CharField("how it ended", max_length=60, blank=True, default="")

    class Meta:
        verbose_name_plural = "processes"
        indexes = [models.Index(fields=["kind", "-heartbeat_at"], name="process_of_kind")]

    def __str__(self) -> str:
        return f"{self.kind} (pid {self.pid} on {self.host})"


class ApiToken(models.Model):
    """A program's access to the API, with the rights of `user`. The key itself is not stored.

    `digest` is the SHA-256 of the key in hexadecimal digits.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100, help_text="The program that uses the token")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="Accurate to the minute")

    class Meta:
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.name} of {self.user}"


class RequestCount(models.Model):
    """The number of requests that a limit of the API has counted in its span (`coolthing_site.api.limits`)."""

    key = models.CharField(
        max_length=120, unique=True, help_text="The kind of requests, and the user or address that sent them"
    )
    count = models.PositiveIntegerField()
    ends_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = "API request count"

    def __str__(self) -> str:
        return self.key
