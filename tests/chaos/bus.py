"""The exchange and the queues of the chaos tests, and the tables that their handlers write."""

from messaging.broker import topology
from tests.chaos.load import EXCHANGE

SINGLE_QUEUE = "chaos_single_queue"
BATCH_QUEUE = "chaos_batch_queue"
QUEUES = (SINGLE_QUEUE, BATCH_QUEUE)
SINGLE_DLQ = "chaos_single_dlq"
BATCH_DLQ = "chaos_batch_dlq"
CHAOS_DLQS = (SINGLE_DLQ, BATCH_DLQ)
# Copies for onlookers lie here for an hour or a day; ticks of beat that expired are among them.
DLQS = (*CHAOS_DLQS, topology.MAINTENANCE_DLQ)

# One row of chaos_effect for each time that a handler ran to its end. Nothing is unique: what happens twice shows.
TABLES = """
    CREATE TABLE chaos_fact (event_id uuid PRIMARY KEY);
    CREATE TABLE chaos_effect (event_id uuid, subscription text, at timestamptz DEFAULT clock_timestamp());
    CREATE TABLE chaos_tick (at timestamptz DEFAULT clock_timestamp());
"""


def _queue(name: str, dlq: str) -> topology.QueueSpec:
    letters = topology.DeadLettering(topology.EVENTS_DLX, f"{name}.failed", dlq, topology.DAY_MS)
    return topology.QueueSpec(name, ((EXCHANGE, "chaos.*"),), dead_letters=letters)


def _dlq(name: str, dlq: str) -> topology.QueueSpec:
    return topology.QueueSpec(dlq, ((topology.EVENTS_DLX, f"{name}.failed"),), message_ttl_ms=topology.DAY_MS)


_PAIRS = tuple(zip(QUEUES, CHAOS_DLQS, strict=True))
TOPOLOGY = topology.Topology(
    (topology.ExchangeSpec(EXCHANGE, "topic"),),
    (*(_queue(*pair) for pair in _PAIRS), *(_dlq(*pair) for pair in _PAIRS)),
)
EVERY_QUEUE = tuple(queue.name for queue in (*topology.TOPOLOGY.queues, *TOPOLOGY.queues))
