"""Channels of notifications: their addresses, rules and transports."""
