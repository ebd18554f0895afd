"""The methods of Telegram's API that the sandbox answers; importing this registers them."""

from sandbox.mtproto.handlers import (
    account,
    chats,
    dialogs,
    forums,
    history,
    invites,
    login,
    moving,
    naming,
    sending,
    updates,
    users,
)

__all__ = [
    "account",
    "chats",
    "dialogs",
    "forums",
    "history",
    "invites",
    "login",
    "moving",
    "naming",
    "sending",
    "updates",
    "users",
]
