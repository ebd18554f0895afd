"""A local LLM endpoint that speaks OpenAI's chat completions, good enough for the real `openai` client.

`POST /v1/chat/completions` (no streaming) and `GET /v1/models` are OpenAI's own; the answers come from
`sandbox.llm.answers`, or from `sandbox.llm.looks` if the schema's name is `second_look`, and satisfy a
`response_format` of kind `json_schema`. In addition:

- `POST /llm/faults {"kind": "429"|"500"|"slow"|"malformed", "times": n, "seconds": s}` makes the next n completions
  fail in this way; `seconds` is the pause of `slow` and the `retry-after` of `429`. Faults are used up in order.
- `DELETE /llm/faults` removes them. `GET /llm/requests` returns the requests with their answers, without keys.

Wire format: https://platform.openai.com/docs/api-reference/chat
"""

import asyncio
import json
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandbox.llm.answers import ManagerReply, answer, text_of
from sandbox.llm.looks import SCHEMA_NAME, LookVerdict, judge
from sandbox.llm.schema import SchemaError, shape

MODELS = ("sandbox-1", "gpt-4o-mini")
# Tests and operators of a demo read the list; its size is limited so that a long run needs no more memory.
REQUESTS_KEPT = 2000
# A token of a real model is about four characters; the figures only need to grow with the text.
CHARACTERS_PER_TOKEN = 4

Fields = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.Response]]
ROLES = ("system", "developer", "user", "assistant", "tool")

FaultKind = Literal["429", "500", "slow", "malformed"]


class LLMFault(BaseModel):
    """A fault of the next `times` completions."""

    model_config = ConfigDict(extra="forbid")

    kind: FaultKind
    times: Annotated[int, Field(ge=1)] = 1
    seconds: Annotated[float, Field(ge=0)] = 1.0


class ApiError(Exception):
    """An answer in OpenAI's error format."""

    def __init__(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.headers: dict[str, str] = {}

    def response(self) -> web.Response:
        kinds = {429: "rate_limit_error", 500: "server_error"}
        error = {
            "message": self.message,
            "type": kinds.get(self.status, "invalid_request_error"),
            "param": self.param,
            "code": self.code,
        }
        return web.json_response({"error": error}, status=self.status, headers=self.headers)


class SandboxLLM:
    """The endpoint's state: faults to come and the requests so far."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._faults: deque[LLMFault] = deque()
        self._requests: deque[Fields] = deque(maxlen=REQUESTS_KEPT)
        self._count = 0

    @property
    def requests(self) -> list[Fields]:
        """The requests, oldest first: model, messages, response_format, status, fault and the answer's content."""
        return list(self._requests)

    @property
    def faults(self) -> list[LLMFault]:
        """The remaining faults, in the order in which they will be used."""
        return list(self._faults)

    def add_fault(self, fault: LLMFault) -> None:
        self._faults.append(fault.model_copy())

    def clear_faults(self) -> None:
        self._faults.clear()

    def reset(self) -> None:
        """Remove all faults and requests."""
        self._faults.clear()
        self._requests.clear()

    async def complete(self, body: object) -> Fields:
        """The completion for a request's decoded body. Raises ApiError."""
        entry: Fields = {"at": self._clock(), "status": 200, "fault": None, "content": None}
        self._requests.append(entry)
        try:
            request_body = check_request(body)
            entry |= {key: request_body.get(key) for key in ("model", "messages", "response_format")}
            fault = self._next_fault()
            entry["fault"] = fault.kind if fault else None
            await _apply_fault(fault)
            entry["content"] = _content(request_body, malformed=fault is not None and fault.kind == "malformed")
        except ApiError as error:
            entry["status"] = error.status
            raise
        self._count += 1
        return _completion(f"chatcmpl-sandbox-{self._count}", int(self._clock()), request_body, entry["content"])

    def _next_fault(self) -> LLMFault | None:
        if not self._faults:
            return None
        fault = self._faults[0]
        fault.times -= 1
        if fault.times == 0:
            self._faults.popleft()
        return fault


async def _apply_fault(fault: LLMFault | None) -> None:
    """Wait or raise ApiError, as the fault's kind requires. `malformed` concerns only the content."""
    if fault is None:
        return
    if fault.kind == "slow":
        await asyncio.sleep(fault.seconds)
    elif fault.kind == "500":
        raise ApiError(500, "The server had an error while processing your request.")
    elif fault.kind == "429":
        error = ApiError(429, "Rate limit reached for requests.", code="rate_limit_exceeded")
        # Whole seconds in the standard header, the exact time in OpenAI's own, as the real service does.
        error.headers["retry-after"] = str(math.ceil(fault.seconds))
        error.headers["retry-after-ms"] = str(round(fault.seconds * 1000))
        raise error


def check_request(body: object) -> Fields:
    """The body, if it is one that this endpoint can answer. Raises ApiError 400."""
    if not isinstance(body, dict):
        raise ApiError(400, "The body of the request must be a JSON object.")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise ApiError(400, "You must provide a model parameter.", param="model")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ApiError(400, "'messages' must be a list with at least one message.", param="messages")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise ApiError(400, f"Invalid role; one of {', '.join(ROLES)}.", param=f"messages[{index}].role")
    if body.get("stream"):
        raise ApiError(400, "Streaming is not supported here.", param="stream")
    if body.get("n", 1) not in (None, 1):
        raise ApiError(400, "Only one choice is supported here.", param="n")
    _schema(body)
    return body


def _schema(request_body: Fields) -> Fields | None:
    """The JSON schema that the answer must satisfy, if one was given. Raises ApiError 400."""
    wanted = request_body.get("response_format") or {"type": "text"}
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind in ("text", "json_object"):
        return None
    described = wanted.get("json_schema") if kind == "json_schema" else None
    if not isinstance(described, dict) or not described.get("name"):
        raise ApiError(400, "Missing or invalid response format.", param="response_format")
    schema = described.get("schema")
    if not isinstance(schema, dict) or schema.get("type") != "object":
        message = f"Invalid schema for response_format '{described['name']}': it must be of type object."
        raise ApiError(400, message, param="response_format", code="invalid_json_schema")
    return schema


def _content(request_body: Fields, *, malformed: bool) -> str:
    is_look = _schema_name(request_body) == SCHEMA_NAME
    content = _shaped(request_body, (judge if is_look else answer)(request_body["messages"]))
    # Cut inside the JSON, like the answer of a model that ran out of tokens.
    return content[: max(1, len(content) // 2)] if malformed else content


def _schema_name(request_body: Fields) -> str:
    wanted = request_body.get("response_format")
    described = wanted.get("json_schema") if isinstance(wanted, dict) else None
    return str(described.get("name")) if isinstance(described, dict) else ""


def _shaped(request_body: Fields, reply: ManagerReply | LookVerdict) -> str:
    schema = _schema(request_body)
    if schema is not None:
        try:
            return json.dumps(shape(schema, reply.as_json()), ensure_ascii=False)
        except SchemaError as error:
            raise ApiError(400, str(error), param="response_format", code="invalid_json_schema") from error
    if (request_body.get("response_format") or {}).get("type") == "json_object":
        return json.dumps(reply.as_json(), ensure_ascii=False)
    return "\n".join(reply.messages) if isinstance(reply, ManagerReply) else reply.reason


def _completion(completion_id: str, created: int, request_body: Fields, content: str) -> Fields:
    prompt = sum(_tokens(text_of(message.get("content"))) for message in request_body["messages"])
    return {
        "id": completion_id,
        "object": "chat.completion",
        "created": created,
        "model": request_body["model"],
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "logprobs": None,
                "message": {"role": "assistant", "content": content, "refusal": None},
            }
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": _tokens(content),
            "total_tokens": prompt + _tokens(content),
        },
    }


def _tokens(text: str) -> int:
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def add_llm_routes(app: web.Application, llm: SandboxLLM) -> None:
    """Adds the endpoint and its controls to an aiohttp application."""

    async def completions(request: web.Request) -> web.Response:
        _check_key(request)
        return web.json_response(await llm.complete(await _json(request)))

    async def models(request: web.Request) -> web.Response:
        _check_key(request)
        cards = [{"id": name, "object": "model", "created": 0, "owned_by": "sandbox"} for name in MODELS]
        return web.json_response({"object": "list", "data": cards})

    async def add_fault(request: web.Request) -> web.Response:
        fault = _fault(await _json(request))
        llm.add_fault(fault)
        return web.json_response(fault.model_dump(), status=201)

    async def clear_faults(request: web.Request) -> web.Response:
        llm.clear_faults()
        return web.Response(status=204)

    async def requests(request: web.Request) -> web.Response:
        return web.json_response({"requests": llm.requests})

    app.router.add_post("/v1/chat/completions", _with_errors(completions))
    app.router.add_get("/v1/models", _with_errors(models))
    app.router.add_post("/llm/faults", _with_errors(add_fault))
    app.router.add_delete("/llm/faults", _with_errors(clear_faults))
    app.router.add_get("/llm/requests", _with_errors(requests))


def _with_errors(handler: Handler) -> Handler:
    """The handler, but an ApiError is answered in OpenAI's format."""

    async def wrapped(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except ApiError as error:
            return error.response()

    return wrapped


def _fault(body: object) -> LLMFault:
    try:
        return LLMFault.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        raise ApiError(400, first["msg"], param=".".join(map(str, first["loc"]))) from error


def _check_key(request: web.Request) -> None:
    """Accept any key, but require one: a client without a key must fail as it would at OpenAI."""
    kind, _, key = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not key.strip():
        raise ApiError(401, "You didn't provide an API key.", code="invalid_api_key")


async def _json(request: web.Request) -> Any:
    try:
        return await request.json()
    except ValueError as error:
        raise ApiError(400, "We could not parse the JSON body of your request.") from error
