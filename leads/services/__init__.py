"""The rules for leads and conversations.

Callers import the modules. This package re-exports nothing, so each name has one import path.
"""
