"""Changes of the usernames of users and chats.

A user or chat may have collectible usernames besides the chosen username. Then Telegram lists all of them in
`usernames` and leaves `username` empty (https://core.telegram.org/api/fragment).
"""

from collections.abc import Iterable

from sandbox.world.entities import Chat, Collectible, User
from sandbox.world.errors import WorldError
from sandbox.world.notices import NameChanged
from sandbox.world.world import World


def rename(world: World, bearer_id: int, username: str | None) -> User | Chat:
    """Change the username of a user or chat; None removes it. Raises WorldError if it is taken or malformed."""
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
    """Move a username from its owner to another user or chat at once. Raises WorldError if it is not in use."""
    former = world.find_username(username)
    if former is None:
        raise WorldError("USERNAME_NOT_OCCUPIED", username)
    if former.username is None or former.username.lower() != username.removeprefix("@").lower():
        raise WorldError("USERNAME_PURCHASE_AVAILABLE", f"{username} is collectible: it is not given up by renaming")
    rename(world, former.id, None)
    return rename(world, to, username.removeprefix("@"))


def collect(world: World, bearer_id: int, names: Iterable[tuple[str, bool]]) -> User | Chat:
    """Set the collectible usernames of a user or chat, in their order, each with whether it is active.

    Only active usernames lead to their owner. Raises WorldError if a username is taken or malformed.
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
