"""The admin pages of campaigns, chats, permissions, budgets and suppressions.

Django imports this module to find them.
"""

from campaigns.admin import budgets, campaigns, chats, permissions, suppression_imports, suppressions

__all__ = ["budgets", "campaigns", "chats", "permissions", "suppression_imports", "suppressions"]
