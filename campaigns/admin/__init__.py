"""The pages of this room. Django finds them here."""

from campaigns.admin import budgets, campaigns, chats, permissions, suppression_imports, suppressions

__all__ = ["budgets", "campaigns", "chats", "permissions", "suppression_imports", "suppressions"]
