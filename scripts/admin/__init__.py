"""The pages of this room. Django finds them here."""

from scripts.admin import assignments, cast, plays, scripts

__all__ = ["assignments", "cast", "plays", "scripts"]
