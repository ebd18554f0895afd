"""Campaigns, chats, owners' permissions, budgets and suppressions: the facts that the gate decides by."""
