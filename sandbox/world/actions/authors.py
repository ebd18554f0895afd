"""Special authors and albums.

Authors may be Bot API bots, accounts that Telegram marks as scam or fake, and deleted accounts. People may write as a
channel or as an anonymous admin. An album consists of several messages.
"""

from collections.abc import Sequence

from sandbox.world.actions import membership, sending
from sandbox.world.entities import Chat, LedgerEntry, User
from sandbox.world.errors import WorldError
from sandbox.world.marks import PLAIN, Marks
from sandbox.world.world import World

FIRST_ALBUM = 13_000_000_000_000_001


def describe(
    world: World,
    user_id: int,
    *,
    bot: bool | None = None,
    scam: bool | None = None,
    fake: bool | None = None,
) -> User:
    """Change how clients show a user; None leaves a value unchanged."""
    user = world.registry.user(user_id)
    user.bot = user.bot if bot is None else bot
    user.scam = user.scam if scam is None else scam
    user.fake = user.fake if fake is None else fake
    world.revision += 1
    return user


def delete_account(world: World, user_id: int) -> User:
    """Delete the account. Its messages stay, without a name."""
    user = world.registry.user(user_id)
    if user.username:
        world.registry.exchange_username(user.username, None, user.id)
    user.deleted, user.username, user.first_name, user.last_name = True, None, "", ""
    for chat in [chat for chat in world.chats.values() if user.id in chat.members]:
        membership.leave(world, user.id, chat.id)
    world.revision += 1
    return user


def write_as(world: World, *, user_id: int, chat_id: int, peer: int | None) -> None:
    """Let the user write in the chat as `peer`: their public channel, or the chat itself for an anonymous admin.

    None or the user's own id ends this. Raises WorldError if the user may not write as `peer`.
    """
    chat = world.registry.chat(chat_id)
    if peer is None or peer == user_id:
        world.send_as.pop((user_id, chat_id), None)
    else:
        check_send_as(world, user_id, chat, peer)
        world.send_as[user_id, chat_id] = peer
    world.revision += 1


def check_send_as(world: World, user_id: int, chat: Chat, peer: int) -> None:
    """Raises WorldError if the user may not write as `peer` in the chat."""
    other = world.chats.get(peer)
    theirs = other is not None and other.owner == user_id and other.is_channel
    if not chat.is_channel or not theirs or not (peer == chat.id or (other and other.is_broadcast and other.is_public)):
        raise WorldError("SEND_AS_PEER_INVALID", f"{user_id} may not write as {peer} in {chat.id}")


def send_album(
    world: World, *, user_id: int, peer: int, texts: Sequence[str], marks: Marks = PLAIN
) -> list[LedgerEntry]:
    """Send pictures that clients show together: one message for each caption in `texts`. Most captions are empty."""
    album = FIRST_ALBUM + len(world.ledger)
    facts = Marks(marks.send_as, marks.post_author, marks.via_bot, marks.forward, album, photo=True)
    return [sending.send(world, user_id=user_id, peer=peer, text=text, marks=facts) for text in texts]
