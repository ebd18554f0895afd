"""The admin pages of campaigns, chats, permissions, budgets and suppressions. Django finds them here."""

from campaigns.admin import budgets, campaigns, chats, permissions, suppression_imports, suppressions

__all__ = ["budgets", "campaigns", "chats", "permissions", "suppression_imports", "suppressions"]
