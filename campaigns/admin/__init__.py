"""The pages of this room. Django finds them here."""

from campaigns.admin import pages, permissions, suppression_imports, suppressions

__all__ = ["pages", "permissions", "suppression_imports", "suppressions"]
