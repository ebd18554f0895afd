"""The models of bots: the team's accounts, the workers that run them, and every outgoing message."""

from bots.models.accounts import Bot, BotBlock, BotSession, BotStateChange, PendingLogin, Role
from bots.models.deliveries import Delivery, DeliveryEvent, MassCancellation
from bots.models.workers import Cursor, ForumTopic, Host, Incident, JoinRequest, Presence

__all__ = [
    "Bot",
    "BotBlock",
    "BotSession",
    "BotStateChange",
    "Cursor",
    "Delivery",
    "DeliveryEvent",
    "ForumTopic",
    "Host",
    "Incident",
    "JoinRequest",
    "MassCancellation",
    "PendingLogin",
    "Presence",
    "Role",
]
