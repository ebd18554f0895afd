"""The world's users and chats, their members and names."""

import random
import re
from collections.abc import Iterable
from typing import get_args

from sandbox.world.entities import CHANNEL_MARK, Chat, ChatKind, User
from sandbox.world.errors import UnknownPeer, WorldError

# Beyond 32 bits, like Telegram's newer ids, so that a database column that is too narrow fails in tests.
FIRST_USER_ID = 7_000_000_001
FIRST_GROUP_ID = 4_000_000_001
FIRST_CHANNEL_ID = 2_000_000_001
INVITE_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
USERNAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{3,31}")


class Registry:
    """Users and chats by id, username, phone and invite link. Names are unique, ignoring case."""

    def __init__(self, *, seed: int) -> None:
        self._random = random.Random(seed)
        self.users: dict[int, User] = {}
        self.chats: dict[int, Chat] = {}
        self._usernames: dict[str, int] = {}
        self._phones: dict[str, int] = {}
        self._invites: dict[str, int] = {}
        self._next_user = FIRST_USER_ID
        self._next_group = FIRST_GROUP_ID
        self._next_channel = FIRST_CHANNEL_ID

    def add_user(
        self,
        *,
        first_name: str,
        last_name: str,
        phone: str | None,
        username: str | None,
        user_id: int | None,
        password: str | None,
    ) -> User:
        digits = normalised_phone(phone) if phone else None
        self._check_user(user_id, digits, username)
        user = User(user_id or self._new_user_id(), first_name, last_name, digits, username, password)
        self._claim_username(username, user.id)
        self.users[user.id] = user
        if digits:
            self._phones[digits] = user.id
        return user

    def add_chat(
        self,
        *,
        kind: ChatKind,
        title: str,
        username: str | None,
        invite_hash: str | None,
        chat_id: int | None,
        owner: int | None,
        members: Iterable[int],
        at: float,
        approval: bool,
    ) -> Chat:
        if kind not in get_args(ChatKind):
            raise WorldError("CHAT_INVALID", f"unknown kind {kind!r}: {', '.join(get_args(ChatKind))}")
        everyone = dict.fromkeys([*([owner] if owner is not None else []), *members], at)
        for user_id in everyone:
            self.user(user_id)
        if kind == "group" and username:
            raise WorldError("USERNAME_INVALID", "a basic group has no username")
        if invite_hash in self._invites:
            raise WorldError("INVITE_HASH_OCCUPIED", str(invite_hash))
        chat_id = self._chat_id(kind, chat_id)
        self._claim_username(username, chat_id)
        chat = Chat(chat_id, kind, title, invite_hash or self._new_invite(), at, username, owner, everyone, approval)
        self.chats[chat.id] = chat
        self._invites[chat.invite_hash] = chat.id
        return chat

    def user(self, user_id: int) -> User:
        user = self.users.get(user_id)
        if user is None:
            raise UnknownPeer(f"no user {user_id}")
        return user

    def chat(self, chat_id: int) -> Chat:
        chat = self.chats.get(chat_id)
        if chat is None:
            raise UnknownPeer(f"no chat {chat_id}")
        return chat

    def find_username(self, username: str) -> User | Chat | None:
        """The user or chat with this username, given with or without the @, in any case."""
        found = self._usernames.get(username.removeprefix("@").lower())
        if found is None:
            return None
        return self.users[found] if found > 0 else self.chats[found]

    def find_phone(self, phone: str) -> User | None:
        found = self._phones.get(normalised_phone(phone))
        return None if found is None else self.users[found]

    def find_invite(self, invite_hash: str) -> Chat | None:
        found = self._invites.get(invite_hash)
        return None if found is None else self.chats[found]

    def exchange_username(self, former: str | None, username: str | None, bearer: int) -> None:
        """Give `bearer` the username instead of `former`. Raises WorldError if it is taken or malformed."""
        if username and self._usernames.get(username.lower()) != bearer:
            self._check_username(username)
        if former:
            self._usernames.pop(former.lower(), None)
        if username:
            self._usernames[username.lower()] = bearer

    def exchange_invites(self, chat: Chat, other: Chat) -> None:
        """Exchange the invite links of two chats."""
        chat.invite_hash, other.invite_hash = other.invite_hash, chat.invite_hash
        self._invites |= {chat.invite_hash: chat.id, other.invite_hash: other.id}

    def used_message_ids(self) -> int:
        """How many message ids a new account has already used, so that accounts number messages differently."""
        return self._random.randrange(10, 1000)

    def _check_user(self, user_id: int | None, phone: str | None, username: str | None) -> None:
        if user_id is not None and (user_id <= 0 or user_id in self.users):
            raise WorldError("USER_ID_INVALID", f"{user_id} is taken or not positive")
        if phone and phone in self._phones:
            raise WorldError("PHONE_NUMBER_OCCUPIED", phone)
        self._check_username(username)

    def _check_username(self, username: str | None) -> None:
        if not username:
            return
        if not USERNAME.fullmatch(username):
            raise WorldError("USERNAME_INVALID", username)
        if username.lower() in self._usernames:
            raise WorldError("USERNAME_OCCUPIED", username)

    def _claim_username(self, username: str | None, owner: int) -> None:
        self._check_username(username)
        if username:
            self._usernames[username.lower()] = owner

    def _new_user_id(self) -> int:
        while self._next_user in self.users:
            self._next_user += 1
        return self._next_user

    def _chat_id(self, kind: ChatKind, wanted: int | None) -> int:
        if wanted is None:
            return self._new_group_id() if kind == "group" else self._new_channel_id()
        in_range = -CHANNEL_MARK < wanted < 0 if kind == "group" else wanted < -CHANNEL_MARK
        if not in_range or wanted in self.chats:
            raise WorldError("CHAT_ID_INVALID", f"{wanted} is taken or is not a marked id of a {kind}")
        return wanted

    def _new_group_id(self) -> int:
        while -self._next_group in self.chats:
            self._next_group += 1
        return -self._next_group

    def _new_channel_id(self) -> int:
        while -(CHANNEL_MARK + self._next_channel) in self.chats:
            self._next_channel += 1
        return -(CHANNEL_MARK + self._next_channel)

    def _new_invite(self) -> str:
        return "".join(self._random.choices(INVITE_ALPHABET, k=16))


def normalised_phone(phone: str) -> str:
    """Digits only, as Telegram stores a number."""
    return re.sub(r"\D", "", phone)
