"""The LLM's answers in a conversation: their form, and the request for one."""

import unicodedata
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from outgoing.chat_completions import AnswerForm, LlmResponse, LlmUseless
from outgoing.chat_completions import ask as ask_llm
from texts.telegram_form import LONGEST, as_kept, length

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam

MOST_MESSAGES = 4


def _storable(text: str) -> str:
    """The text without characters that PostgreSQL cannot store: NUL and lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode()


def _is_blank(text: str) -> bool:
    """Whether the text is invisible: only spaces, control and zero-width characters."""
    return all(unicodedata.category(character)[0] in "CZ" for character in text)


Action = Literal["reply", "wait", "handover", "opt_out", "close"]
ACTIONS: tuple[str, ...] = get_args(Action)


def _short_enough(text: str) -> str:
    if length(text) > LONGEST:
        raise ValueError(f"longer than {LONGEST}")
    return text


Text = Annotated[
    str, AfterValidator(_storable), StringConstraints(strip_whitespace=True), AfterValidator(_short_enough)
]


class LlmAnswer(BaseModel):
    """The LLM's messages and decision."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    messages: Annotated[list[Text], Field(max_length=MOST_MESSAGES)]
    action: Action
    reason: Annotated[str, AfterValidator(_storable)]

    @property
    def texts(self) -> list[str]:
        """The messages as Telegram stores them, without blank ones."""
        return [text for text in map(as_kept, self.messages) if not _is_blank(text)]


_FORM = AnswerForm(
    name="answer",
    schema={
        "type": "object",
        "properties": {
            "messages": {"type": "array", "items": {"type": "string"}},
            "action": {"type": "string", "enum": list(ACTIONS)},
            "reason": {"type": "string"},
        },
        "required": ["messages", "action", "reason"],
        "additionalProperties": False,
    },
    model=LlmAnswer,
)


def ask(*, model: str, messages: "list[ChatCompletionMessageParam]") -> LlmResponse[LlmAnswer]:
    """Ask the LLM. Raises LlmUnavailable, LlmUseless (also for a reply without text) and LlmRejected."""
    response = ask_llm(model=model, messages=messages, form=_FORM)
    if response.answer.action == "reply" and not response.answer.texts:
        raise LlmUseless("the answer is a reply without text")
    return response
