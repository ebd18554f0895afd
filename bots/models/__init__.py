"""The models of bots: the team's accounts, the workers that drive them, and every outgoing message."""

from bots.models.accounts import Bot, BotBlock, BotSession, BotStateChange, PendingLogin, Role
from bots.models.driving import Cursor, Host, Incident, Presence
from bots.models.ledger import Delivery, DeliveryEvent, MassCancellation

__all__ = [
    "Bot",
    "BotBlock",
    "BotSession",
    "BotStateChange",
    "Cursor",
    "Delivery",
    "DeliveryEvent",
    "Host",
    "Incident",
    "MassCancellation",
    "PendingLogin",
    "Presence",
    "Role",
]
