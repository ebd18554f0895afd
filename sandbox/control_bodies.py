"""Request bodies of the control API: their shapes, and how they are read and checked."""

from typing import Any, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

Name = int | str
Body = TypeVar("Body", bound=BaseModel)


class BadRequest(Exception):
    """The request makes no sense; the text says why."""


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


class NewTopic(Strict):
    """`user` begins a topic in a forum."""

    user: Name
    chat: Name
    title: str


class NewMessage(Strict):
    """`reply_to` is the seq of a ledger entry. `send_as`: a channel, or the chat itself for an anonymous admin, who may
    sign as `post_author`. `via_bot`: an inline bot. `forwarded_from`: whose message is forwarded."""

    user: Name
    peer: Name
    text: str
    reply_to: int | None = None
    send_as: Name | None = None
    post_author: str = ""
    via_bot: Name | None = None
    forwarded_from: Name | None = None


class Album(Strict):
    """Pictures that `user` sends as one, a message for each of the `texts`, which are captions; most are empty."""

    user: Name
    peer: Name
    texts: list[str] = Field(min_length=2, max_length=10)


class Described(Strict):
    """What everybody is shown of a user: a Bot API bot, a scam, a fake; with `deleted` the account is gone."""

    user: Name
    bot: bool | None = None
    scam: bool | None = None
    fake: bool | None = None
    deleted: bool = False


class Edited(Strict):
    """Its author gives the ledger entry `seq` another text."""

    seq: int
    text: str


class Deleted(Strict):
    """The ledger entry `seq` is deleted for everybody."""

    seq: int


class Reaction(Strict):
    """`user` reacts to the ledger entry `seq`; without `emoji` they take that back."""

    user: Name
    seq: int
    emoji: str | None = None


class ChatMember(Strict):
    user: Name
    chat: Name


class Upgrade(Strict):
    """The basic group becomes a supergroup."""

    chat: int


class Renaming(Strict):
    """`who` bears `username` from now on; null: none."""

    who: Name
    username: str | None


class HandingOver(Strict):
    """`username` goes from its bearer to `to`."""

    username: str
    to: Name


class Bought(Strict):
    username: str
    active: bool = True


class Collecting(Strict):
    """The collectible usernames of `who` are these, in this order."""

    who: Name
    usernames: list[Bought]


class Blocking(Strict):
    """`user` blocks `other`."""

    user: Name
    other: Name


class Scan(Strict):
    """`user` scans the QR code that stands for `url`."""

    user: Name
    url: str


async def body_of(request: web.Request, model: type[Body]) -> Body:
    return _valid(model, await json_of(request), "")


async def bodies_of(request: web.Request, model: type[Body]) -> list[Body]:
    """All of them are checked before the first one is used."""
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
