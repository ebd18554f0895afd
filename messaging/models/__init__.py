"""The tables of the bus: the outbox, handled events, dead letters, replays, and queues' pauses and statistics."""

from messaging.models.dead_letters import DeadLetter, DeadLetterEntry, ReplayBatch, ReplayItem
from messaging.models.handling import HandledCopy, HandlingBucket, HandlingFailure, ProcessedEvent
from messaging.models.outbox import OutboxEvent
from messaging.models.queues import QueueControl, QueueSample

__all__ = [
    "DeadLetter",
    "DeadLetterEntry",
    "HandledCopy",
    "HandlingBucket",
    "HandlingFailure",
    "OutboxEvent",
    "ProcessedEvent",
    "QueueControl",
    "QueueSample",
    "ReplayBatch",
    "ReplayItem",
]
