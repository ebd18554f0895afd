"""The world as one viewer sees it, in Telegram's types."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from telethon.tl import types

from sandbox.world.boxes import Event, Message
from sandbox.world.entities import Chat, User
from sandbox.world.marks import Forward
from sandbox.world.world import World

# Telegram offers only a few choices.
TOPIC_COLOUR = 0x6FB9F0
# The update of a message, by the kind of event and by whether it is in a supergroup.
_TELLS = {
    ("message", False): types.UpdateNewMessage,
    ("message", True): types.UpdateNewChannelMessage,
    ("edit", False): types.UpdateEditMessage,
    ("edit", True): types.UpdateEditChannelMessage,
}


def usernames_of(bearer: User | Chat) -> list[Any]:
    """All usernames in their order. The owner may change the `editable` username."""
    chosen = [types.Username(bearer.username, editable=True, active=True)] if bearer.username else []
    return chosen + [types.Username(name.username, active=name.active) for name in bearer.collectibles]


def _names(bearer: User | Chat) -> dict[str, Any]:
    return {"usernames": usernames_of(bearer)} if bearer.collectibles else {"username": bearer.username}


def _reply_header(message: Message, *, forum: bool) -> Any:
    """The reply header. In a topic each message is a reply, to another message of the topic or to its root."""
    if message.topic is None:
        return types.MessageReplyHeader(reply_to_msg_id=message.reply_to) if message.reply_to else None
    if not forum:
        top = message.topic if message.reply_to != message.topic else None
        return types.MessageReplyHeader(reply_to_msg_id=message.reply_to, reply_to_top_id=top)
    return types.MessageReplyHeader(
        forum_topic=True,
        reply_to_msg_id=message.reply_to or message.topic,
        reply_to_top_id=message.topic if message.reply_to else None,
    )


class View:
    """Builds TL objects for `viewer`. `users` and `chats` contain everyone that these objects mention."""

    def __init__(self, world: World, viewer: int) -> None:
        self._world = world
        self._viewer = viewer
        self._user_ids: dict[int, None] = {}
        self._chat_ids: dict[int, None] = {}

    @property
    def users(self) -> list[Any]:
        return [self.user(self._world.users[i]) for i in self._user_ids]

    @property
    def chats(self) -> list[Any]:
        return [self.chat(self._world.chats[i]) for i in self._chat_ids]

    def mention(self, *ids: int) -> None:
        """User ids or marked chat ids."""
        for mentioned in ids:
            (self._user_ids if mentioned > 0 else self._chat_ids).setdefault(mentioned)

    def user(self, user: User) -> Any:
        """A complete user if the viewer may address them, otherwise a "min" user."""
        known = self._world.knows(self._viewer, user.id)
        is_self = user.id == self._viewer
        access_hash = self._world.hashes.of(self._viewer, user.id, "user" if known else "min")
        if user.deleted:
            return types.User(id=user.id, deleted=True, min=not known, access_hash=access_hash)
        return types.User(
            id=user.id,
            is_self=is_self,
            bot=user.bot,
            bot_info_version=1 if user.bot else None,
            scam=user.scam,
            fake=user.fake,
            min=not known,
            access_hash=access_hash,
            first_name=user.first_name,
            last_name=user.last_name or None,
            **_names(user),
            phone=user.phone if is_self else None,
            status=None if user.bot else types.UserStatusRecently(),
        )

    def chat(self, chat: Chat) -> Any:
        left = self._viewer not in chat.members
        if not chat.is_channel:
            return types.Chat(
                id=chat.bare_id,
                title=chat.title,
                photo=types.ChatPhotoEmpty(),
                participants_count=len(chat.members),
                date=int(chat.created_at),
                version=1,
                left=left,
                creator=chat.owner == self._viewer,
                deactivated=chat.migrated_to is not None,
                migrated_to=self._input_channel(chat.migrated_to),
            )
        return types.Channel(
            id=chat.bare_id,
            title=chat.title,
            photo=types.ChatPhotoEmpty(),
            date=int(chat.members.get(self._viewer, chat.created_at)),
            megagroup=not chat.is_broadcast,
            broadcast=chat.is_broadcast,
            forum=chat.forum,
            left=left,
            creator=chat.owner == self._viewer,
            access_hash=self._world.hashes.of(self._viewer, chat.id, "channel"),
            **_names(chat),
            participants_count=len(chat.members),
        )

    def _input_channel(self, chat_id: int | None) -> Any:
        if chat_id is None:
            return None
        access_hash = self._world.hashes.of(self._viewer, chat_id, "channel")
        return types.InputChannel(self._world.chats[chat_id].bare_id, access_hash)

    def peer(self, peer: int) -> Any:
        """The Peer, which is added to the mentioned users or chats."""
        self.mention(peer)
        if peer > 0:
            return types.PeerUser(peer)
        chat = self._world.chats[peer]
        return types.PeerChannel(chat.bare_id) if chat.is_channel else types.PeerChat(chat.bare_id)

    def message(self, message: Message) -> Any:
        common = {
            "id": message.id,
            "peer_id": self.peer(message.peer),
            "date": int(message.at),
            "out": message.from_user == self._viewer,
            "from_id": self._author(message),
            "post": message.peer < 0 and self._world.chats[message.peer].is_broadcast,
            "reactions": self._reactions(message),
        }
        if message.action:
            return types.MessageService(action=self._action(message), **common)
        edited = {"edit_date": int(message.edited_at)} if message.edited_at is not None else {}
        marked = self._marked(message)
        header = _reply_header(message, forum=message.peer < 0 and self._world.chats[message.peer].forum)
        return types.Message(message=message.text, reply_to=header, **marked, **edited, **common)

    def _author(self, message: Message) -> Any:
        """The author; None in private chats, where the peer or `out` shows it, and in channels."""
        if message.peer < 0 and not self._world.chats[message.peer].is_broadcast:
            return self.peer(message.shown_author)
        if message.peer > 0:
            self.mention(message.from_user)
        return None

    def _marked(self, message: Message) -> dict[str, Any]:
        """The message's properties besides its text."""
        marks = message.marks
        if marks.via_bot is not None:
            self.mention(marks.via_bot)
        return {
            "post_author": marks.post_author or None,
            "via_bot_id": marks.via_bot,
            "fwd_from": self._forward(marks.forward),
            "grouped_id": marks.album,
            "media": types.MessageMediaPhoto(photo=types.PhotoEmpty(message.id)) if marks.photo else None,
        }

    def _forward(self, forward: Forward | None) -> Any:
        if forward is None:
            return None
        author = self.peer(forward.author) if forward.author is not None else None
        post = {}
        if forward.post is not None:
            post = {"channel_post": forward.post, "saved_from_peer": author, "saved_from_msg_id": forward.post}
        return types.MessageFwdHeader(date=int(forward.at), from_id=author, from_name=forward.name or None, **post)

    def reacted(self, message: Message) -> Any:
        """The update with a message's reactions."""
        reactions = self._reactions(message) or types.MessageReactions([])
        return types.UpdateMessageReactions(self.peer(message.peer), message.id, reactions)

    def _reactions(self, message: Message) -> Any:
        entry = self._world.entry(message.seq or 0)
        if entry is None or not entry.reactions:
            return None
        counted = Counter(entry.reactions.values())
        return types.MessageReactions(
            [types.ReactionCount(types.ReactionEmoji(emoji), n) for emoji, n in counted.items()]
        )

    def event(self, box_id: int, event: Event) -> Any:
        """The update for an event of a box."""
        box = self._world.boxes[box_id]
        if event.kind != "delete":
            message = self.message(box.messages[event.message_ids[0]])
            return _TELLS[event.kind, box_id < 0](message, event.pts, event.pts_count)
        if box_id < 0:
            channel = self._world.chats[box_id].bare_id
            return types.UpdateDeleteChannelMessages(channel, list(event.message_ids), event.pts, event.pts_count)
        return types.UpdateDeleteMessages(list(event.message_ids), event.pts, event.pts_count)

    def updates(self, updates: Iterable[Any]) -> Any:
        """An `updates` container; `seq` 0 means that clients order it by pts."""
        listed = list(updates)
        return types.Updates(listed, self.users, self.chats, int(self._world.clock()), seq=0)

    def _moved(self, chat_id: int) -> int:
        """The supergroup that a basic group became, or that group. It is mentioned, because Telegram sends both."""
        chat = self._world.chats[chat_id]
        other = chat.migrated_to or chat.migrated_from or chat_id
        self.mention(other)
        return other

    def _action(self, message: Message) -> Any:
        if message.action == "joined_by_link":
            owner = self._world.chats[message.peer].owner
            return types.MessageActionChatJoinedByLink(inviter_id=owner or message.from_user)
        if message.action == "left":
            return types.MessageActionChatDeleteUser(message.from_user)
        if message.action == "topic":
            title = self._world.chats[message.peer].topics[message.id]
            return types.MessageActionTopicCreate(title, TOPIC_COLOUR)
        if message.action == "migrate_to":
            return types.MessageActionChatMigrateTo(self._world.chats[self._moved(message.peer)].bare_id)
        if message.action == "migrate_from":
            old = self._world.chats[self._moved(message.peer)]
            return types.MessageActionChannelMigrateFrom(old.title, old.bare_id)
        return types.MessageActionChatAddUser(users=[message.from_user])
