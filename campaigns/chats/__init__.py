"""Chats: which Telegram chat a row stands for, and the reference that leads to it."""
