"""Sends one request to the LLM with the openai client, to any endpoint with the chat completions API.

The answer is JSON of a form that the caller chooses. https://platform.openai.com/docs/guides/structured-outputs
"""

import asyncio
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from django.conf import settings
from pydantic import BaseModel, ValidationError

from outgoing.retry_after import seconds_to_wait

# Imported in functions: the client takes a second and 40 MB, and most processes never use it.
if TYPE_CHECKING:
    import ssl

    from openai.types.chat import ChatCompletionMessageParam

# Seconds for one request, from the connection to the last byte of the response, however slowly it arrives. A job's
# claim covers two requests (after a malformed answer there is a second one).
TIMEOUT_SECONDS = 60.0
# The largest response in bytes, including errors: about a hundred times what MOST_TOKENS need.
MOST_BYTES = 1_000_000
# Answers are short. This limits the cost of a model that does not stop.
MOST_TOKENS = 1000

# A larger token count for one answer is an error of the endpoint.
_MOST_COUNTED = 10_000_000
_FINISHED = frozenset(["stop", "length", "content_filter", "tool_calls", "function_call"])
# The form of an endpoint's error codes. Any other text may be a message of the endpoint.
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,59}")


Answer = TypeVar("Answer", bound=BaseModel)


class LlmUnavailable(Exception):
    """No answer now, but perhaps later. `retry_after` is in seconds, as the endpoint asks for, an hour at most.

    `refused`: the endpoint answered with an error. Otherwise the model may have worked, and the request may cost money.
    """

    def __init__(self, reason: str, retry_after: float | None = None, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.retry_after, self.refused = retry_after, refused


class LlmUseless(Exception):
    """The answer cannot be used: malformed, cut off, or a refusal to answer."""


class LlmRejected(Exception):
    """The endpoint rejects this request, and would reject it again."""


@dataclass(frozen=True)
class AnswerForm(Generic[Answer]):
    """The form of an answer. `schema` is its JSON schema, written by hand: strict structured output requires all
    properties to be required, and supports only some keywords. `model` validates the answer."""

    name: str
    schema: dict[str, Any]
    model: type[Answer]


@dataclass(frozen=True)
class LlmResponse(Generic[Answer]):
    answer: Answer
    prompt_tokens: int
    completion_tokens: int


def ask(
    *,
    model: str,
    messages: "list[ChatCompletionMessageParam]",
    form: AnswerForm[Answer],
    most_tokens: int = MOST_TOKENS,
) -> LlmResponse[Answer]:
    """Ask the LLM. Raises LlmUnavailable, LlmUseless and LlmRejected, whose texts never quote the conversation.

    Blocks for TIMEOUT_SECONDS at most; only the resolution of a host name may take some seconds longer.
    """
    import httpx2
    import openai

    try:
        body = asyncio.run(_request(model, messages, form, most_tokens))
    except TimeoutError:
        raise LlmUnavailable(f"Timeout after {TIMEOUT_SECONDS:.0f} s") from None
    except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
        raise LlmRejected(_reason(error)) from error
    except openai.APIStatusError as error:
        wait = seconds_to_wait(error.response.headers, now=datetime.now(UTC))
        raise LlmUnavailable(_reason(error), wait, refused=True) from error
    except (openai.APIConnectionError, httpx2.HTTPError) as error:
        raise LlmUnavailable(_reason(error)) from error
    except openai.OpenAIError as error:
        raise LlmUseless(_reason(error)) from error
    return _read(body, form)


async def _request(
    model: str, messages: "list[ChatCompletionMessageParam]", form: AnswerForm[Any], most_tokens: int
) -> bytes:
    """The response's body. Raises TimeoutError at the deadline, with the connection closed.

    The blocking client has no such deadline: its timeouts are for each read, and a response may arrive byte by byte.
    """
    import openai

    from outgoing.http_answers import cut_off_at

    # No retries in the client, because ours wait in the database, not in a worker. The client requires a key, but
    # private endpoints often do not.
    client = openai.AsyncOpenAI(
        base_url=settings.OPENAI_BASE_URL,
        api_key=settings.OPENAI_API_KEY or "none",
        max_retries=0,
        timeout=TIMEOUT_SECONDS,
        http_client=openai.DefaultAsyncHttpxClient(
            verify=_ssl_context(),
            # Only the environment determines where requests go.
            follow_redirects=False,
            # The client itself reads the whole response if it is an error.
            event_hooks={"response": [cut_off_at(MOST_BYTES + 1)]},
        ),
    )
    body = bytearray()
    async with (
        asyncio.timeout(TIMEOUT_SECONDS),
        client,
        client.chat.completions.with_streaming_response.create(
            model=model,
            messages=messages,
            max_completion_tokens=most_tokens,
            response_format={
                "type": "json_schema",
                "json_schema": {"name": form.name, "strict": True, "schema": form.schema},
            },
        ) as response,
    ):
        async for part in response.iter_bytes():
            body += part
            if len(body) > MOST_BYTES:
                raise LlmUseless(f"the answer has more than {MOST_BYTES} bytes")
    return bytes(body)


@cache
def _ssl_context() -> "ssl.SSLContext":
    """Cached, because it reads all certificates of the system, and a client is used for one request only."""
    import httpx2

    return httpx2.create_ssl_context()


class _CompletionMessage(BaseModel):
    content: str | None = None
    refusal: Any = None


class _Choice(BaseModel):
    message: _CompletionMessage
    finish_reason: Any = None


class _Completion(BaseModel):
    """The parts of a chat completion that are used. The client's own model does not validate its contents."""

    choices: list[_Choice]
    usage: Any = None


def _read(body: bytes, form: AnswerForm[Answer]) -> LlmResponse[Answer]:
    try:
        completion = _Completion.model_validate_json(body)
    except ValidationError as error:
        # A proxy's page or half a response is an error of the endpoint, not of the model.
        raise LlmUnavailable(f"the endpoint's answer is not a chat completion: {_faults(error)}") from None
    usage = completion.usage if isinstance(completion.usage, dict) else {}
    answer = _answer(completion.choices, form)
    return LlmResponse(answer, _tokens(usage.get("prompt_tokens")), _tokens(usage.get("completion_tokens")))


def _answer(choices: list[_Choice], form: AnswerForm[Answer]) -> Answer:
    message = choices[0].message if choices else None
    if message is None or message.refusal:
        raise LlmUseless("the model refused to answer" if message else "the endpoint returned no choices")
    finished = choices[0].finish_reason
    how = finished if isinstance(finished, str) and finished in _FINISHED else "no finish reason"
    try:
        return form.model.model_validate_json(message.content or "")
    except ValidationError as error:
        raise LlmUseless(f"the answer does not have the required form ({how}): {_faults(error)}") from None


def _faults(error: ValidationError) -> str:
    """The places and kinds of validation errors, without the values."""
    faults = [f"{'.'.join(map(str, each['loc'])) or 'answer'}: {each['type']}" for each in error.errors()]
    return "; ".join(faults[:5])


def _tokens(count: object) -> int:
    """A token count from the endpoint; 0 if it is missing or invalid."""
    if isinstance(count, bool) or not isinstance(count, int | float):
        return 0
    # Only for floats: isfinite raises OverflowError for an int that is too large for a float.
    if isinstance(count, float) and not math.isfinite(count):
        return 0
    return int(min(max(0, count), _MOST_COUNTED))


def _reason(error: Exception) -> str:
    """The error's class and status only: the endpoint's message may repeat the question or the key."""
    status = getattr(error, "status_code", None)
    code = getattr(error, "code", None)
    safe_code = code if isinstance(code, str) and _CODE.fullmatch(code) else None
    return " ".join(str(part) for part in (type(error).__name__, status, safe_code) if part)
