"""The admin pages of bots. Django imports this module to find them."""

from bots.admin import accounts, budget_usage, cancelling, deliveries, login_pages, pending_logins, presence, references

__all__ = [
    "accounts",
    "budget_usage",
    "cancelling",
    "deliveries",
    "login_pages",
    "pending_logins",
    "presence",
    "references",
]
