"""The admin pages of bots. Django imports this module to find them."""

from bots.admin import (
    account_records,
    accounts,
    budget_usage,
    cancelling,
    deliveries,
    login_pages,
    pending_logins,
    presence,
    references,
    workers,
)

__all__ = [
    "account_records",
    "accounts",
    "budget_usage",
    "cancelling",
    "deliveries",
    "login_pages",
    "pending_logins",
    "presence",
    "references",
    "workers",
]
