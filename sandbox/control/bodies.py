"""The request bodies of the control API, and their validation."""

from typing import Any, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

Name = int | str
Body = TypeVar("Body", bound=BaseModel)


class BadRequest(Exception):
    """The request is invalid. The text contains the reason."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewUser(Strict):
    first_name: str = Field(min_length=1)
    last_name: str = ""
    phone: str | None = None
    username: str | None = None
    user_id: int | None = None
    password: str | None = None


class NewChat(Strict):
    kind: Literal["group", "supergroup", "channel"]
    title: str = Field(min_length=1)
    username: str | None = None
    invite_hash: str | None = None
    members: list[Name] = []
    chat_id: int | None = None
    owner: Name | None = None
    approval: bool = False
    forum: bool = False


class Discussion(Strict):
    """The supergroup `group` becomes the discussion group of `channel`."""

    channel: Name
    group: Name


class NewTopic(Strict):
    """`user` begins a topic in a forum."""

    user: Name
    chat: Name
    title: str


class NewMessage(Strict):
    """`reply_to` is the seq of a ledger entry.

    `send_as` is a channel, or the chat itself for an anonymous admin, who may sign as `post_author`. `via_bot` is an
    inline bot, `forwarded_from` the author of a forwarded message.
    """

    user: Name
    peer: Name
    text: str
    reply_to: int | None = None
    send_as: Name | None = None
    post_author: str = ""
    via_bot: Name | None = None
    forwarded_from: Name | None = None


class Album(Strict):
    """Pictures that `user` sends together: one message for each caption in `texts`. Most captions are empty."""

    user: Name
    peer: Name
    texts: list[str] = Field(min_length=2, max_length=10)


class Described(Strict):
    """How clients show a user: as a Bot API bot, a scam or a fake. With `deleted` the account is deleted."""

    user: Name
    bot: bool | None = None
    scam: bool | None = None
    fake: bool | None = None
    deleted: bool = False


class Edited(Strict):
    """The author changes the text of the ledger entry `seq`."""

    seq: int
    text: str


class Deleted(Strict):
    """The ledger entry `seq` is deleted for everyone."""

    seq: int


class Reaction(Strict):
    """`user` reacts to the ledger entry `seq`; without `emoji`, the reaction is removed."""

    user: Name
    seq: int
    emoji: str | None = None


class ChatMember(Strict):
    user: Name
    chat: Name


class Upgrade(Strict):
    """The basic group `chat` becomes a supergroup."""

    chat: int


class Renaming(Strict):
    """`who` gets `username` instead of the current username; null removes it."""

    who: Name
    username: str | None


class HandingOver(Strict):
    """`username` moves from its owner to `to`."""

    username: str
    to: Name


class Bought(Strict):
    username: str
    active: bool = True


class Collecting(Strict):
    """Sets the collectible usernames of `who`, in this order."""

    who: Name
    usernames: list[Bought]


class Blocking(Strict):
    """`user` blocks `other`."""

    user: Name
    other: Name


class Scan(Strict):
    """`user` scans the QR code that contains `url`."""

    user: Name
    url: str


async def body_of(request: web.Request, model: type[Body]) -> Body:
    return _valid(model, await json_of(request), "")


async def bodies_of(request: web.Request, model: type[Body]) -> list[Body]:
    """The bodies of a request. All are validated before the first is used."""
    data = await json_of(request)
    if isinstance(data, list):
        return [_valid(model, item, f"{index}.") for index, item in enumerate(data)]
    return [_valid(model, data, "")]


async def json_of(request: web.Request) -> Any:
    try:
        return await request.json()
    except ValueError as error:
        raise BadRequest(f"not JSON: {error}") from error


def _valid(model: type[Body], data: Any, where: str) -> Body:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems = (f"{where}{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise BadRequest("; ".join(problems)) from error
