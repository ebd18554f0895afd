"""Usernames of people and chats: they are changed, given up, taken over by somebody else, and bought on top.

Collectible usernames stand beside the one that its bearer chose; with any of them Telegram lists them all in
`usernames` and leaves `username` empty (https://core.telegram.org/api/fragment).
"""

from collections.abc import Iterable

from sandbox.world.entities import Chat, Collectible, User
from sandbox.world.errors import WorldError
from sandbox.world.notices import NameChanged
from sandbox.world.world import World


def rename(world: World, bearer_id: int, username: str | None) -> User | Chat:
    """A user or chat gets another username; None takes it away. Raises WorldError when it is taken or malformed."""
    bearer = _bearer(world, bearer_id)
    if username is not None and isinstance(bearer, Chat) and not bearer.is_channel:
        raise WorldError("USERNAME_INVALID", "a basic group has no username")
    if username == bearer.username:
        raise WorldError("USERNAME_NOT_MODIFIED", str(username))
    world.registry.exchange_username(bearer.username, username, bearer.id)
    bearer.username = username
    _changed(world, bearer)
    return bearer


def hand_over(world: World, username: str, to: int) -> User | Chat:
    """A username goes from whoever bears it to somebody else at one moment. Raises WorldError when nobody bears it."""
    former = world.find_username(username)
    if former is None:
        raise WorldError("USERNAME_NOT_OCCUPIED", username)
    if former.username is None or former.username.lower() != username.removeprefix("@").lower():
        raise WorldError("USERNAME_PURCHASE_AVAILABLE", f"{username} is collectible: it is not given up by renaming")
    rename(world, former.id, None)
    return rename(world, to, username.removeprefix("@"))


def collect(world: World, bearer_id: int, names: Iterable[tuple[str, bool]]) -> User | Chat:
    """The collectible usernames of a user or chat, in their order, with whether each is active, are these from now on.

    Only active ones lead to their bearer. Raises WorldError when one is taken or malformed.
    """
    bearer = _bearer(world, bearer_id)
    for former in bearer.collectibles:
        if former.active:
            world.registry.exchange_username(former.username, None, bearer.id)
    bearer.collectibles = []
    for username, active in names:
        if active:
            world.registry.exchange_username(None, username, bearer.id)
        bearer.collectibles.append(Collectible(username, active))
    _changed(world, bearer)
    return bearer


def _bearer(world: World, bearer_id: int) -> User | Chat:
    return world.registry.user(bearer_id) if bearer_id > 0 else world.registry.chat(bearer_id)


def _changed(world: World, bearer: User | Chat) -> None:
    world.revision += 1
    world.notify(NameChanged(bearer.id))
