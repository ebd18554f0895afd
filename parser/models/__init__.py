"""The parser bots' keywords and watched chats, their hits, and the keyword lab."""

from parser.models.backtests import Backtest, BacktestMatch
from parser.models.hits import Hit, HitRepeat
from parser.models.keywords import Keyword, MatchingSettings
from parser.models.lab import GoldenText, KeywordVersion, Verdict
from parser.models.second_look import HitLook, SecondLook
from parser.models.watching import DiscussionPost, ReadTally, WatchedChat

__all__ = [
    "Backtest",
    "BacktestMatch",
    "DiscussionPost",
    "GoldenText",
    "Hit",
    "HitLook",
    "HitRepeat",
    "Keyword",
    "KeywordVersion",
    "MatchingSettings",
    "ReadTally",
    "SecondLook",
    "Verdict",
    "WatchedChat",
]
