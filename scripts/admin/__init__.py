"""The pages of this room. Django finds them here."""

from scripts.admin import assignments, plays

__all__ = ["assignments", "plays"]
