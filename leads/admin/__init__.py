"""The pages of this room. Django finds them here."""

from leads.admin import conversations, managers, pages

__all__ = ["conversations", "managers", "pages"]
