"""Telegram's protocol in front of the world: transport, keys, sessions, requests, updates."""
