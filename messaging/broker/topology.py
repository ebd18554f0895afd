"""All names of exchanges, queues and headers, and the broker's topology. No other module spells such a name.

The specs are plain data: `messaging.broker.declare` declares them on a broker and compares a broker with them,
`coolthing_site.celery` builds Celery's queues and routes from them. RabbitMQ 3.10 and 4.x both accept the topology: it
has no transient non-exclusive queue, no global QoS, and an explicit delivery limit on each queue.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

# CoolThing and other programs publish to these.
SCRIPTS_EXCHANGE = "scripts_exchange"
LEADS_EXCHANGE = "leads_exchange"
EVENTS_EXCHANGE = "events_exchange"
# AMQP's default exchange: the routing key is the name of a queue.
DEFAULT_EXCHANGE = ""
# A direct exchange on which every queue is bound by its own name: tasks, retries and replays reach one queue alone.
TASKS_EXCHANGE = "tasks"
# Receives the messages that no binding of the other exchanges matches.
UNROUTABLE_EXCHANGE = "unroutable_exchange"
SCRIPTS_DLX = "scripts_dlx"
LEADS_DLX = "leads_dlx"
EVENTS_DLX = "events_dlx"
TASKS_DLX = "tasks_dlx"

SCRIPTS_QUEUE = "scripts_queue"
SCRIPTS_WATCHDOG_QUEUE = "scripts_watchdog_queue"
LEADS_QUEUE = "leads_queue"
NOTIFIER_QUEUE = "notifier_queue"
DEAD_LETTER_ARCHIVE_QUEUE = "dead_letter_archive_queue"
UNROUTABLE_QUEUE = "unroutable_queue"

LLM_QUEUE = "llm_queue"
NOTIFICATIONS_QUEUE = "notifications_queue"
MAINTENANCE_QUEUE = "maintenance_queue"
ACTOR_BOTS_QUEUE = "actor_bots_queue"
PARSER_BOTS_QUEUE = "parser_bots_queue"
MANAGER_BOTS_QUEUE = "manager_bots_queue"

SCRIPTS_DLQ = "scripts_dlq"
SCRIPTS_WATCHDOG_DLQ = "scripts_watchdog_dlq"
LEADS_DLQ = "leads_dlq"
NOTIFIER_DLQ = "notifier_dlq"
LLM_DLQ = "llm_dlq"
NOTIFICATIONS_DLQ = "notifications_dlq"
MAINTENANCE_DLQ = "maintenance_dlq"

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

# After this many deliveries RabbitMQ dead-letters a message, because the message seems to kill its workers. When a
# worker dies, RabbitMQ also counts a delivery of the other messages that the worker had prefetched, so a small limit
# would dead-letter harmless messages too.
DELIVERY_LIMIT = 20
# The archive's queues hold last copies, which must survive any number of dying workers.
ARCHIVE_DELIVERY_LIMIT = 1_000_000

# Headers of a replay. The original exchange and routing key determine the event's type; the replay itself is sent
# through another exchange, under another key.
ORIGINAL_EXCHANGE_HEADER = "x-coolthing-exchange"
ORIGINAL_ROUTING_KEY_HEADER = "x-coolthing-routing-key"
EVENT_ID_HEADER = "x-coolthing-event-id"
REPLAY_HEADER = "x-coolthing-replay"
# W3C Trace Context. CoolThing does not change a value that another program has set, so that tracing tools can link the
# spans of both programs.
TRACE_HEADER = "traceparent"
# The version of an event's body, "1" or "1.3"; a message without this header has version 1. Readers ignore unknown
# fields, so only a change that an older reader would misunderstand needs a new major version.
VERSION_HEADER = "x-coolthing-version"
MAJOR_VERSION = 1
# Marks the relay's own events about messages that it could not publish.
ALARM_HEADER = "x-coolthing-alarm"


@dataclass(frozen=True)
class ExchangeSpec:
    """A durable exchange without arguments. RabbitMQ refuses programs that declare it with different arguments."""

    name: str
    type: str


@dataclass(frozen=True)
class PolicySpec:
    """A policy of the virtual host. It sets options of exchanges that cannot be arguments: see `ExchangeSpec`."""

    name: str
    exchanges: tuple[str, ...]
    definition: Mapping[str, str]
    priority: int

    @property
    def pattern(self) -> str:
        return f"^({'|'.join(map(re.escape, self.exchanges))})$"

    @property
    def as_json(self) -> dict[str, object]:
        """The form in which the management API accepts and returns the policy."""
        return {
            "pattern": self.pattern,
            "apply-to": "exchanges",
            "priority": self.priority,
            "definition": dict(self.definition),
        }

    def command(self, vhost: str) -> str:
        """The command with which an administrator sets the policy on the broker's machine."""
        return (
            f"rabbitmqctl set_policy -p '{vhost}' --priority {self.priority} --apply-to exchanges {self.name}"
            f" '{self.pattern}' '{json.dumps(dict(self.definition))}'"
        )


@dataclass(frozen=True)
class DeadLettering:
    """Where a queue's rejected messages go. `queue` keeps them for `kept_ms`, for administrators of the broker."""

    exchange: str
    routing_key: str
    queue: str
    kept_ms: int


@dataclass(frozen=True)
class QueueSpec:
    """A durable quorum queue. `bindings` are pairs (exchange, pattern); every queue is bound to `tasks` as well."""

    name: str
    bindings: tuple[tuple[str, str], ...] = ()
    dead_letters: DeadLettering | None = None
    message_ttl_ms: int | None = None
    delivery_limit: int = DELIVERY_LIMIT

    @property
    def arguments(self) -> dict[str, str | int]:
        arguments: dict[str, str | int] = {"x-queue-type": "quorum", "x-delivery-limit": self.delivery_limit}
        if self.message_ttl_ms is not None:
            arguments["x-message-ttl"] = self.message_ttl_ms
        if self.dead_letters is not None:
            # At least once: a dead letter leaves its queue only when both queues of the DLX have confirmed it.
            # This strategy requires reject-publish, which rejects nothing here: the queue has no length limit.
            arguments |= {
                "x-dead-letter-exchange": self.dead_letters.exchange,
                "x-dead-letter-routing-key": self.dead_letters.routing_key,
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            }
        return arguments

    @property
    def all_bindings(self) -> tuple[tuple[str, str], ...]:
        return ((TASKS_EXCHANGE, self.name), *self.bindings)


@dataclass(frozen=True)
class Topology:
    """Everything that `manage.py setup_broker` declares."""

    exchanges: tuple[ExchangeSpec, ...]
    queues: tuple[QueueSpec, ...]
    policies: tuple[PolicySpec, ...] = ()
    _by_name: dict[str, QueueSpec] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._by_name.update({queue.name: queue for queue in self.queues})

    def queue(self, name: str) -> QueueSpec:
        return self._by_name[name]

    def has_exchange(self, name: str) -> bool:
        return any(exchange.name == name for exchange in self.exchanges)

    def has_queue(self, name: str) -> bool:
        return name in self._by_name


_DEAD_LETTERS = {
    SCRIPTS_QUEUE: DeadLettering(SCRIPTS_DLX, "scripts.failed", SCRIPTS_DLQ, DAY_MS),
    SCRIPTS_WATCHDOG_QUEUE: DeadLettering(SCRIPTS_DLX, "scripts_watchdog.failed", SCRIPTS_WATCHDOG_DLQ, DAY_MS),
    LEADS_QUEUE: DeadLettering(LEADS_DLX, "leads.failed", LEADS_DLQ, HOUR_MS),
    NOTIFIER_QUEUE: DeadLettering(EVENTS_DLX, "notifier.failed", NOTIFIER_DLQ, DAY_MS),
    # Kept for an hour only: expired messages of beat come here too, thousands of them in an hour.
    LLM_QUEUE: DeadLettering(TASKS_DLX, "llm.failed", LLM_DLQ, HOUR_MS),
    NOTIFICATIONS_QUEUE: DeadLettering(TASKS_DLX, "notifications.failed", NOTIFICATIONS_DLQ, HOUR_MS),
    MAINTENANCE_QUEUE: DeadLettering(TASKS_DLX, "maintenance.failed", MAINTENANCE_DLQ, HOUR_MS),
}

_DEAD_LETTER_EXCHANGES = (SCRIPTS_DLX, LEADS_DLX, EVENTS_DLX, TASKS_DLX)

_SUBSCRIPTION_BINDINGS: dict[str, tuple[tuple[str, str], ...]] = {
    SCRIPTS_QUEUE: ((SCRIPTS_EXCHANGE, "admin.script_created"),),
    SCRIPTS_WATCHDOG_QUEUE: ((SCRIPTS_EXCHANGE, "admin.script_created"),),
    LEADS_QUEUE: ((LEADS_EXCHANGE, "lead.*"),),
    NOTIFIER_QUEUE: ((EVENTS_EXCHANGE, "*.error"), (EVENTS_EXCHANGE, "*.crash"), (EVENTS_EXCHANGE, "#")),
}

# queue → the task that handles the domain events arriving there.
SUBSCRIPTIONS: dict[str, str] = {
    SCRIPTS_QUEUE: "scripts.subscribers.prepare_play",
    SCRIPTS_WATCHDOG_QUEUE: "scripts.subscribers.arm_supervision",
    LEADS_QUEUE: "leads.subscribers.receive_lead",
    NOTIFIER_QUEUE: "notifier.subscribers.record_event",
    DEAD_LETTER_ARCHIVE_QUEUE: "messaging.subscribers.archive_dead_letter",
    UNROUTABLE_QUEUE: "messaging.subscribers.archive_unroutable",
}

# Subscriptions whose handlers get messages undecoded. They get Celery's task messages too: a task message in the
# archive's queue must be archived, not run.
RAW_SUBSCRIPTIONS = frozenset({DEAD_LETTER_ARCHIVE_QUEUE, UNROUTABLE_QUEUE})

# queue → the maximum size of a batch: the number of messages that its handler gets in one call (see
# `messaging.consuming.batch_execution`).
BATCHES: dict[str, int] = {
    LEADS_QUEUE: 200,
    DEAD_LETTER_ARCHIVE_QUEUE: 200,
    UNROUTABLE_QUEUE: 200,
}

# The maximum size of a bundle: messages of any other subscription that a worker's child process takes at once.
BUNDLE = 32

# queue → the Celery tasks that are sent to it.
TASKS: dict[str, tuple[str, ...]] = {
    LLM_QUEUE: ("leads.tasks.answer_lead", "parser.tasks.look_at_hit"),
    NOTIFICATIONS_QUEUE: ("notifier.tasks.send_notification",),
    MAINTENANCE_QUEUE: (
        "bots.tasks.supervise_bots",
        "bots.tasks.repair_deliveries",
        "bots.tasks.advance_cancellations",
        "campaigns.tasks.tell_expiring",
        "scripts.tasks.supervise_runs",
        "leads.tasks.dispatch_due",
        "parser.tasks.dispatch_looks",
        "notifier.tasks.dispatch_due",
        "messaging.tasks.prune",
        "messaging.tasks_stats.sample_queues",
        "messaging.tasks_replay.advance_replays",
    ),
}

# `bots.tasks.run_bot` is sent with an explicit queue: that of the bot's role.
BOTS_QUEUES = (ACTOR_BOTS_QUEUE, PARSER_BOTS_QUEUE, MANAGER_BOTS_QUEUE)

# queue → the name of the service that consumes it, as in events. `rabbitmq_consume_rate{service}` adds up the rates of
# a service's queues.
SERVICES: dict[str, str] = {
    SCRIPTS_QUEUE: "scripts",
    SCRIPTS_WATCHDOG_QUEUE: "scripts_watchdog",
    LEADS_QUEUE: "manager",
    LLM_QUEUE: "manager",
    NOTIFIER_QUEUE: "notifier",
    NOTIFICATIONS_QUEUE: "notifier",
    ACTOR_BOTS_QUEUE: "bots",
    PARSER_BOTS_QUEUE: "bots",
    MANAGER_BOTS_QUEUE: "bots",
    MAINTENANCE_QUEUE: "admin",
    DEAD_LETTER_ARCHIVE_QUEUE: "admin",
    UNROUTABLE_QUEUE: "admin",
}


def _exchanges() -> tuple[ExchangeSpec, ...]:
    topics = (SCRIPTS_EXCHANGE, LEADS_EXCHANGE, EVENTS_EXCHANGE, *_DEAD_LETTER_EXCHANGES)
    return (
        ExchangeSpec(UNROUTABLE_EXCHANGE, "fanout"),
        ExchangeSpec(TASKS_EXCHANGE, "direct"),
        *(ExchangeSpec(name, "topic") for name in topics),
    )


def _queues() -> tuple[QueueSpec, ...]:
    subscriptions = [
        QueueSpec(name, bindings, dead_letters=_DEAD_LETTERS[name]) for name, bindings in _SUBSCRIPTION_BINDINGS.items()
    ]
    dead = [
        QueueSpec(letters.queue, ((letters.exchange, letters.routing_key),), message_ttl_ms=letters.kept_ms)
        for letters in _DEAD_LETTERS.values()
    ]
    archive = [
        QueueSpec(
            DEAD_LETTER_ARCHIVE_QUEUE,
            tuple((name, "#") for name in _DEAD_LETTER_EXCHANGES),
            delivery_limit=ARCHIVE_DELIVERY_LIMIT,
        ),
        QueueSpec(UNROUTABLE_QUEUE, ((UNROUTABLE_EXCHANGE, ""),), delivery_limit=ARCHIVE_DELIVERY_LIMIT),
    ]
    # The bots' queues have no dead letters: if a message is lost, `supervise_bots` sends a new message within seconds.
    work = [QueueSpec(name, dead_letters=_DEAD_LETTERS.get(name)) for name in (*TASKS, *BOTS_QUEUES)]
    return (*subscriptions, *dead, *archive, *work)


# RabbitMQ applies one policy to an exchange, the one with the highest priority. This priority is meant to be above that
# of a policy that an administrator sets for all exchanges.
ALTERNATE_POLICY = PolicySpec(
    "coolthing-alternate-exchange",
    (SCRIPTS_EXCHANGE, LEADS_EXCHANGE, EVENTS_EXCHANGE, TASKS_EXCHANGE),
    {"alternate-exchange": UNROUTABLE_EXCHANGE},
    priority=10,
)

TOPOLOGY = Topology(_exchanges(), _queues(), (ALTERNATE_POLICY,))


def task_routes() -> dict[str, dict[str, str]]:
    """Celery's `task_routes`: each task, subscriptions included, goes to its queue by name through `tasks`."""
    homes = {task: queue for queue, tasks in TASKS.items() for task in tasks}
    homes |= {task: queue for queue, task in SUBSCRIPTIONS.items()}
    return {task: {"queue": queue} for task, queue in homes.items()}
