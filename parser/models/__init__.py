"""The parser bots' keywords and watched chats, and their hits."""

from parser.models.hits import Hit
from parser.models.keywords import Keyword, MatchingSettings
from parser.models.watching import WatchedChat

__all__ = ["Hit", "Keyword", "MatchingSettings", "WatchedChat"]
