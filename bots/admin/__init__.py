"""The admin pages of bots. Django imports this module to find them."""

from bots.admin import accounts, cancelling, ledger, login_pages, pending_logins, presence, references, usage

__all__ = ["accounts", "cancelling", "ledger", "login_pages", "pending_logins", "presence", "references", "usage"]
