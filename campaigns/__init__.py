"""Campaigns, chats, owners' permissions, budgets and suppressions: what the gate checks."""
