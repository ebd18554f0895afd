"""The pages of this room. Django finds them here."""

from bots.admin import accounts, connecting, ledger, presence, usage

__all__ = ["accounts", "connecting", "ledger", "presence", "usage"]
