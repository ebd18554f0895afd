"""The pages of this room. Django finds them here."""

from bots.admin import accounts, ledger

__all__ = ["accounts", "ledger"]
