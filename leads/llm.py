"""One question to the LLM, through the openai client: any endpoint that speaks its chat completions will do.

https://platform.openai.com/docs/guides/structured-outputs
"""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from django.conf import settings
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

# The client is imported where it is used: it costs a second and 40 MB, and most processes never ask anything.
if TYPE_CHECKING:
    import openai
    from openai.types.chat import ChatCompletionMessageParam

# Seconds for one request. Twice this (a malformed answer is asked for again) fits into the claim of a job.
TIMEOUT_SECONDS = 60.0
# Answers are short; this bounds what a model that runs wild can cost.
MOST_TOKENS = 1000
MOST_MESSAGES = 4

Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=4096)]


class LlmUnavailable(Exception):
    """No answer now; a later one is possible. `retry_after` in seconds, when the endpoint named a time."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class LlmUseless(Exception):
    """An answer that cannot be used: malformed, cut off, or a refusal to answer."""


class LlmRejected(Exception):
    """The endpoint will not take this question, however often it is asked."""


class Answer(BaseModel):
    """What the LLM wants to be said and done. Empty messages are left out."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    messages: Annotated[list[Text], Field(max_length=MOST_MESSAGES)]
    action: Literal["reply", "wait", "handover", "opt_out", "close"]
    reason: str

    @property
    def texts(self) -> list[str]:
        return [text for text in self.messages if text]


@dataclass(frozen=True)
class Answered:
    answer: Answer
    prompt_tokens: int
    completion_tokens: int


# Written out: strict structured output demands every property as required and knows only some keywords.
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "messages": {"type": "array", "items": {"type": "string"}},
        "action": {"type": "string", "enum": ["reply", "wait", "handover", "opt_out", "close"]},
        "reason": {"type": "string"},
    },
    "required": ["messages", "action", "reason"],
    "additionalProperties": False,
}


def ask(*, model: str, messages: "list[ChatCompletionMessageParam]") -> Answered:
    """Raises LlmUnavailable, LlmUseless, LlmRejected. No text of the conversation gets into their reasons."""
    import openai

    try:
        completion = _client(settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY).chat.completions.create(
            model=model,
            messages=messages,
            max_completion_tokens=MOST_TOKENS,
            timeout=TIMEOUT_SECONDS,
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": _SCHEMA},
            },
        )
    except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
        raise LlmRejected(_reason(error)) from error
    except openai.APIStatusError as error:
        raise LlmUnavailable(_reason(error), _retry_after(error)) from error
    except openai.APIConnectionError as error:
        raise LlmUnavailable(_reason(error)) from error
    except openai.OpenAIError as error:
        raise LlmUseless(_reason(error)) from error
    usage = completion.usage
    return Answered(
        _parse(completion.choices),
        usage.prompt_tokens if usage else 0,
        usage.completion_tokens if usage else 0,
    )


@cache
def _client(base_url: str, api_key: str) -> "openai.OpenAI":
    """Retries are ours: they wait in the database, not in a worker."""
    import openai

    # The client wants some key; endpoints of one's own often need none.
    return openai.OpenAI(base_url=base_url, api_key=api_key or "none", max_retries=0)


def _parse(choices: list[Any]) -> Answer:
    message = choices[0].message if choices else None
    if message is None or message.refusal:
        raise LlmUseless("the model refused to answer" if message else "the endpoint returned no choices")
    try:
        return Answer.model_validate_json(message.content or "")
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'answer'}: {each['type']}" for each in error.errors())
        raise LlmUseless(f"the answer does not fit ({choices[0].finish_reason}): {faults}") from None


def _reason(error: "openai.OpenAIError") -> str:
    """Kind and status only: an endpoint's own words may repeat the question or the key."""
    status = getattr(error, "status_code", None)
    code = getattr(error, "code", None)
    return " ".join(str(part) for part in (type(error).__name__, status, code) if part)


def _retry_after(error: "openai.APIStatusError") -> float | None:
    headers = error.response.headers
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * unit)
        except (KeyError, ValueError):
            continue
    return None
