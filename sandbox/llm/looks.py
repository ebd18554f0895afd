"""The local LLM's verdicts in a second look at messages of public chats. A few rules; there is no model.

`judge(messages)` gets the rules and a message, which is the key "message" of a JSON object. A message that asks for
something gets a high score, one that offers something or gives orders to the LLM a low one.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.llm.answers import text_of

# The name of the JSON schema by which the endpoint recognises such a request.
SCHEMA_NAME = "second_look"

_ORDERS = re.compile(
    r"ignore\b.{0,40}\b(instructions|rules)|system prompt|\bscore\b|игнорируй|инструкци|оценк",
    re.IGNORECASE | re.DOTALL,
)
_OFFERS = re.compile(
    r"https?://|\bt\.me/|скидк|заработ|подпис|продаю|продам|предлага|оказыва|\b(sell|selling|discount|subscribe"
    r"|we offer|earn)\b",
    re.IGNORECASE,
)
_REQUESTS = re.compile(
    r"\?|\b(ищу|ищем|нужен|нужна|нужно|нужны|посовет|подскаж|куплю|кто знает|looking for|need|recommend|where|want)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class LookVerdict:
    """A score from 0 to 100, and the reason."""

    score: int
    reason: str

    def as_json(self) -> dict[str, Any]:
        return {"score": self.score, "reason": self.reason}


def judge(messages: Iterable[Mapping[str, Any]]) -> LookVerdict:
    """The verdict on the last user message."""
    users = [text_of(message.get("content")) for message in messages if message.get("role") == "user"]
    text = _message(users[-1] if users else "")
    if _ORDERS.search(text):
        return LookVerdict(5, "The message gives orders to the check.")
    if _OFFERS.search(text):
        return LookVerdict(15, "The author offers something.")
    if _REQUESTS.search(text):
        return LookVerdict(90, "The author asks for something.")
    return LookVerdict(50, "It is not clear what the author wants.")


def _message(content: str) -> str:
    try:
        found = json.loads(content)
    except ValueError:
        return content
    return str(found.get("message", "")) if isinstance(found, dict) else content
