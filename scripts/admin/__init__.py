"""The pages of this room. Django finds them here."""

from scripts.admin import assignments, cast, plays

__all__ = ["assignments", "cast", "plays"]
