"""The team's accounts: state, session, unfinished logins and flood waits."""

import uuid

from django.db import models
from django.db.models.functions import Now

from vault.fields import EncryptedTextField


class Role(models.TextChoices):
    """What a bot does. The role decides which handler reads the bot's messages and in which queue its task runs."""

    ACTOR = "actor", "Actor: sends the lines of scripts"
    PARSER = "parser", "Parser: watches chats for keywords"
    MANAGER = "manager", "Manager: writes to leads"


class Bot(models.Model):
    """A Telegram user account that the team owns.

    One process owns a bot at a time: `lease_owner`, until `lease_expires_at` (the database's clock). `lease_epoch`
    grows with every new owner. A process that writes the bot's session filters on the epoch under which it took the
    lease, so that a former owner overwrites nothing.
    """

    class State(models.TextChoices):
        OFFLINE = "offline"
        STARTING = "starting"
        ONLINE = "online"
        WAITING = "waiting", "Waiting: Telegram asked the account to wait"
        RESTRICTED = "restricted", "Restricted: sends no first messages until an operator releases the account"
        NEEDS_LOGIN = "needs_login", "Needs login"
        BANNED = "banned"
        STOPPED = "stopped"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.SlugField(unique=True, help_text="The account's name in seed files and commands")
    display_name = models.CharField(max_length=100, blank=True, default="")
    role = models.CharField(max_length=10, choices=Role)
    phone = EncryptedTextField(blank=True, default="", help_text="In international form, for example +49 151 1234567")
    api_id = models.PositiveIntegerField(
        "API id", null=True, blank=True, help_text="Leave empty to use the setting TELEGRAM_API_ID."
    )
    api_hash = EncryptedTextField(
        "API hash", blank=True, default="", help_text="Leave empty to use the setting TELEGRAM_API_HASH."
    )
    proxy_url = EncryptedTextField(
        "proxy URL",
        blank=True,
        default="",
        help_text="For example socks5://user:password@host:port, http://… or mtproxy://secret@host:port",
    )
    telegram_user_id = models.BigIntegerField("Telegram user id", null=True, blank=True, unique=True)
    username = models.CharField(max_length=64, blank=True, default="")
    enabled = models.BooleanField(default=True, help_text="A disabled account does not connect.")

    state = models.CharField(max_length=12, choices=State, default=State.OFFLINE)
    state_reason = models.CharField(max_length=300, blank=True, default="")
    state_until = models.DateTimeField(null=True, blank=True)
    blocked_until = models.DateTimeField(
        "flood wait until",
        null=True,
        blank=True,
        help_text="Telegram accepts no requests of the account before this time.",
    )

    lease_owner = models.CharField(max_length=120, blank=True, default="")
    lease_epoch = models.BigIntegerField(default=0, help_text="Grows each time a worker takes over the account")
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    dispatched_at = models.DateTimeField(
        "last dispatched at",
        null=True,
        blank=True,
        help_text="When workers were last asked to run the account",
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "account"

    def __str__(self) -> str:
        return self.display_name or self.key

    @property
    def named(self) -> str:
        """The display name and the key. Use it where accounts must not be confused: display names are not unique."""
        return f"{self.display_name} ({self.key})" if self.display_name else self.key


class BotSession(models.Model):
    """The bot's Telegram session: auth key, data centre, update state, known entities. Encrypted as a whole."""

    bot = models.OneToOneField(
        Bot, on_delete=models.CASCADE, primary_key=True, related_name="session", verbose_name="account"
    )
    data = EncryptedTextField()
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "session"

    def __str__(self) -> str:
        return f"session of {self.bot}"


class PendingLogin(models.Model):
    """A login that an operator began and has not finished. The row survives page reloads and restarts.

    `state` contains the login's secrets (the new session, the code's hash, the QR code's address), encrypted as a
    whole. `problem` is Telegram's last error. Until `wait_until` Telegram refuses further attempts at the step
    `waits_for`, or at every step if `waits_for` is empty.

    A page stores the requested step (`asked`) with the operator's input (`given`, encrypted, erased when a worker
    takes it) and returns. The process that calls Telegram owns the login: it has set `claim`, and keeps extending
    `busy_until` (the database's clock). Only one process may connect: Telegram destroys a new key that two
    connections use.
    """

    class Step(models.TextChoices):
        START = "start", "Not started"
        CODE = "code", "Waiting for the code"
        PASSWORD = "password", "Waiting for the password"
        QR = "qr", "Waiting for the QR code to be scanned"

    class Ask(models.TextChoices):
        SEND = "send", "Requesting a code"
        RESEND = "resend", "Requesting the code in another way"
        CODE = "code", "Checking the code"
        PASSWORD = "password", "Checking the password"
        QR = "qr", "Requesting a QR code"
        IMPORT = "import", "Checking the session"
        LOG_OUT = "log_out", "Logging out"

    bot = models.OneToOneField(
        Bot, on_delete=models.CASCADE, primary_key=True, related_name="pending_login", verbose_name="account"
    )
    step = models.CharField(max_length=10, choices=Step, default=Step.START)
    state = EncryptedTextField(blank=True, default="")
    problem = models.CharField(max_length=300, blank=True, default="")
    wait_until = models.DateTimeField(null=True, blank=True)
    waits_for = models.CharField(max_length=10, choices=Step, blank=True, default="")
    asked = models.CharField("current request", max_length=10, choices=Ask, blank=True, default="")
    asked_by = models.CharField("requested by", max_length=150, blank=True, default="")
    asked_at = models.DateTimeField("requested at", null=True, blank=True)
    given = EncryptedTextField(blank=True, default="")
    claim = models.UUIDField(null=True, blank=True)
    worker = models.CharField(max_length=120, blank=True, default="")
    busy_until = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True, help_text="When a page last showed the QR code")
    expires_at = models.DateTimeField()
    begun_at = models.DateTimeField("started at", db_default=Now())

    class Meta:
        verbose_name = "unfinished login"

    def __str__(self) -> str:
        return f"login of {self.bot}"


class BotStateChange(models.Model):
    bot = models.ForeignKey(Bot, on_delete=models.CASCADE, related_name="history", verbose_name="account")
    state = models.CharField(max_length=12, choices=Bot.State)
    reason = models.CharField(max_length=300, blank=True, default="")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        verbose_name = "state change"

    def __str__(self) -> str:
        return f"{self.bot}: {self.state}"


class BotBlock(models.Model):
    """A flood wait: Telegram asked this bot not to call `method` until `until`, in one chat or in all."""

    bot = models.ForeignKey(Bot, on_delete=models.CASCADE, related_name="blocks", verbose_name="account")
    method = models.CharField(max_length=80, help_text="The request that the account must not send")
    peer_id = models.BigIntegerField(
        "chat or person",
        default=0,
        help_text="Marked id of the chat, or the user's id; 0 stands for all chats and people",
    )
    until = models.DateTimeField("ends at")
    reason = models.CharField(max_length=120, help_text="Telegram's error, for example FLOOD_WAIT_42")

    class Meta:
        verbose_name = "flood wait"
        constraints = [models.UniqueConstraint(fields=["bot", "method", "peer_id"], name="one_block_per_scope")]

    def __str__(self) -> str:
        return f"{self.bot} {self.reason} until {self.until}"
