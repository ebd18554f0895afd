"""The pages of this room. Django finds them here."""

from bots.admin import accounts, cancelling, ledger, login_pages, pending_logins, presence, references, usage

__all__ = ["accounts", "cancelling", "ledger", "login_pages", "pending_logins", "presence", "references", "usage"]
