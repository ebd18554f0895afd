"""Campaigns, their chats, and the permissions, suppressions and budgets that the gate checks."""

from campaigns.models.budgets import Budget
from campaigns.models.campaigns import BOTH_ENDS, Campaign
from campaigns.models.chats import UNSEEN_CHAT, Chat
from campaigns.models.permissions import EVIDENCE_MOST_BYTES, ONE_PERMISSION, ChatPermission, EvidenceFile
from campaigns.models.purposes import Purpose
from campaigns.models.suppressions import NOBODY_NAMED, SUPPRESSED_ALREADY, HashKey, Suppression

__all__ = [
    "BOTH_ENDS",
    "EVIDENCE_MOST_BYTES",
    "NOBODY_NAMED",
    "ONE_PERMISSION",
    "SUPPRESSED_ALREADY",
    "UNSEEN_CHAT",
    "Budget",
    "Campaign",
    "Chat",
    "ChatPermission",
    "EvidenceFile",
    "HashKey",
    "Purpose",
    "Suppression",
]
