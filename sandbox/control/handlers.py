"""The handlers of the control API. They run in the event loop that owns the world."""

from typing import Any, Protocol

from aiohttp import web

from sandbox.control.bodies import (
    Album,
    BadRequest,
    Blocking,
    ChatMember,
    Collecting,
    Deleted,
    Described,
    Discussion,
    Edited,
    HandingOver,
    Name,
    NewChat,
    NewMessage,
    NewTopic,
    NewUser,
    Reaction,
    Renaming,
    Scan,
    Upgrade,
    bodies_of,
    body_of,
    json_of,
)
from sandbox.mtproto.logins.tokens import token_of
from sandbox.mtproto.rpc_errors import RpcFailure
from sandbox.mtproto.server import MtprotoServer
from sandbox.world.actions import authors, discussions, membership, message_changes, sending, topics, usernames
from sandbox.world.actions.upgrades import upgrade
from sandbox.world.entities import Chat, LedgerEntry, User
from sandbox.world.faults import Fault, FaultBook
from sandbox.world.marks import Forward, Marks
from sandbox.world.world import World


class ControlledSandbox(Protocol):
    """The sandbox as its control API sees it (`sandbox.server.Sandbox`)."""

    world: World
    faults: FaultBook
    mtproto: MtprotoServer

    @property
    def mtproto_port(self) -> int: ...

    def reset(self) -> None: ...


class Control:
    """The handlers of a sandbox."""

    def __init__(self, sandbox: ControlledSandbox) -> None:
        self._sandbox = sandbox

    @property
    def _world(self) -> World:
        return self._sandbox.world

    async def health(self, _request: web.Request) -> web.Response:
        return web.json_response({"ok": True, "mtproto_port": self._sandbox.mtproto_port})

    async def ledger(self, request: web.Request) -> web.Response:
        since = request.query.get("since", "0")
        if not since.isdigit():
            raise BadRequest(f"since: {since!r} is not a sequence number")
        return web.json_response([entry.as_json() for entry in self._world.ledger[int(since) :]])

    async def world(self, _request: web.Request) -> web.Response:
        server = self._sandbox.mtproto
        connections = [
            {"auth_key": c.key.short_id, "user": c.user_id, "open_since": c.opened_at}
            for c in sorted(server.connections, key=lambda c: c.opened_at)
            if c.key
        ]
        return web.json_response(
            {
                "users": [self._user(user) for user in self._world.users.values()],
                "chats": [_chat(chat) for chat in self._world.chats.values()],
                "connections": connections,
                "ledger": len(self._world.ledger),
            }
        )

    async def add_users(self, request: web.Request) -> web.Response:
        added = [self._world.add_user(**new.model_dump()) for new in await bodies_of(request, NewUser)]
        return web.json_response([self._user(user) for user in added], status=201)

    async def add_chats(self, request: web.Request) -> web.Response:
        added = [self._add_chat(new) for new in await bodies_of(request, NewChat)]
        return web.json_response([_chat(chat) for chat in added], status=201)

    async def send_messages(self, request: web.Request) -> web.Response:
        """Answers an object with its entry, and a list with the list of entries."""
        sent = [self._send(new).as_json() for new in await bodies_of(request, NewMessage)]
        return web.json_response(sent if isinstance(await json_of(request), list) else sent[0], status=201)

    def _send(self, new: NewMessage) -> LedgerEntry:
        user, peer = self._user_id(new.user), self._id(new.peer)
        reply_to = None
        if new.reply_to is not None:
            replied = self._world.entry(new.reply_to)
            reply_to = replied.id_for(user) if replied else None
            if reply_to is None:
                raise BadRequest(f"reply_to: user {user} sees no entry {new.reply_to}")
        return sending.send(
            self._world, user_id=user, peer=peer, text=new.text, reply_to=reply_to, marks=self._marks(user, peer, new)
        )

    def _marks(self, user: int, peer: int, new: NewMessage) -> Marks:
        send_as = self._id(new.send_as) if new.send_as is not None else None
        if send_as is not None:
            authors.check_send_as(self._world, user, self._world.registry.chat(peer), send_as)
        forward = new.forwarded_from
        return Marks(
            send_as=send_as,
            post_author=new.post_author,
            via_bot=self._user_id(new.via_bot) if new.via_bot is not None else None,
            forward=Forward(self._world.clock(), self._id(forward)) if forward is not None else None,
        )

    async def send_album(self, request: web.Request) -> web.Response:
        """Answers with the list of the entries."""
        body = await body_of(request, Album)
        user, peer = self._user_id(body.user), self._id(body.peer)
        sent = authors.send_album(self._world, user_id=user, peer=peer, texts=body.texts)
        return web.json_response([entry.as_json() for entry in sent], status=201)

    async def describe(self, request: web.Request) -> web.Response:
        body = await body_of(request, Described)
        user = self._user_id(body.user)
        authors.describe(self._world, user, bot=body.bot, scam=body.scam, fake=body.fake)
        if body.deleted:
            authors.delete_account(self._world, user)
        return web.Response(status=204)

    async def edit(self, request: web.Request) -> web.Response:
        body = await body_of(request, Edited)
        entry = self._entry(body.seq)
        return web.json_response(
            message_changes.edit(self._world, user_id=entry.from_user, seq=body.seq, text=body.text).as_json()
        )

    async def delete(self, request: web.Request) -> web.Response:
        body = await body_of(request, Deleted)
        return web.json_response(message_changes.delete_for_all(self._world, seq=self._entry(body.seq).seq).as_json())

    async def react(self, request: web.Request) -> web.Response:
        body = await body_of(request, Reaction)
        entry = message_changes.react(
            self._world, user_id=self._user_id(body.user), seq=self._entry(body.seq).seq, emoji=body.emoji
        )
        return web.json_response(entry.as_json())

    async def join(self, request: web.Request) -> web.Response:
        body = await body_of(request, ChatMember)
        membership.join(self._world, self._user_id(body.user), self._id(body.chat))
        return web.Response(status=204)

    async def approve(self, request: web.Request) -> web.Response:
        body = await body_of(request, ChatMember)
        membership.approve(self._world, self._user_id(body.user), self._id(body.chat))
        return web.Response(status=204)

    async def upgrade(self, request: web.Request) -> web.Response:
        """Answers with the supergroup."""
        new = upgrade(self._world, (await body_of(request, Upgrade)).chat)
        return web.json_response(_chat(new), status=201)

    async def set_discussion(self, request: web.Request) -> web.Response:
        body = await body_of(request, Discussion)
        discussions.discussion_set(self._world, self._id(body.channel), self._id(body.group))
        return web.Response(status=204)

    async def begin_topic(self, request: web.Request) -> web.Response:
        """Answers with the id of the topic's root."""
        body = await body_of(request, NewTopic)
        user, chat = self._user_id(body.user), self._id(body.chat)
        root = topics.topic_begin(self._world, user_id=user, chat_id=chat, title=body.title)
        return web.json_response({"root": root}, status=201)

    async def rename(self, request: web.Request) -> web.Response:
        body = await body_of(request, Renaming)
        usernames.rename(self._world, self._id(body.who), body.username)
        return web.Response(status=204)

    async def hand_over(self, request: web.Request) -> web.Response:
        body = await body_of(request, HandingOver)
        usernames.hand_over(self._world, body.username, self._id(body.to))
        return web.Response(status=204)

    async def collect(self, request: web.Request) -> web.Response:
        body = await body_of(request, Collecting)
        usernames.collect(self._world, self._id(body.who), [(name.username, name.active) for name in body.usernames])
        return web.Response(status=204)

    async def scan(self, request: web.Request) -> web.Response:
        body = await body_of(request, Scan)
        try:
            self._sandbox.mtproto.accept_token(token_of(body.url), self._user_id(body.user))
        except ValueError as error:
            raise BadRequest(f"url: {error}") from error
        except RpcFailure as failure:
            raise BadRequest(failure.name) from failure
        return web.Response(status=204)

    async def leave(self, request: web.Request) -> web.Response:
        body = await body_of(request, ChatMember)
        membership.leave(self._world, self._user_id(body.user), self._id(body.chat))
        return web.Response(status=204)

    async def block(self, request: web.Request) -> web.Response:
        body = await body_of(request, Blocking)
        membership.block(self._world, self._user_id(body.user), self._user_id(body.other))
        return web.Response(status=204)

    async def faults(self, _request: web.Request) -> web.Response:
        return web.json_response(self._sandbox.faults.as_json())

    async def plan_faults(self, request: web.Request) -> web.Response:
        for fault in await bodies_of(request, Fault):
            self._sandbox.faults.plan(fault)
        return web.json_response(self._sandbox.faults.as_json(), status=201)

    async def clear_faults(self, _request: web.Request) -> web.Response:
        self._sandbox.faults.clear()
        return web.Response(status=204)

    async def reset(self, _request: web.Request) -> web.Response:
        self._sandbox.reset()
        return web.Response(status=204)

    def _add_chat(self, new: NewChat) -> Chat:
        values = new.model_dump()
        values["members"] = [self._user_id(name) for name in new.members]
        values["owner"] = self._user_id(new.owner) if new.owner is not None else None
        forum = values.pop("forum")
        chat = self._world.add_chat(**values)
        if forum:
            topics.forum_set(self._world, chat.id, forum=True)
        return chat

    def _entry(self, seq: int) -> LedgerEntry:
        entry = self._world.entry(seq)
        if entry is None:
            raise BadRequest(f"seq: there is no entry {seq}")
        return entry

    def _id(self, name: Name) -> int:
        if isinstance(name, int):
            return name
        found = self._world.find_username(name)
        if found is None:
            raise BadRequest(f"no user or chat has the username {name!r}")
        return found.id

    def _user_id(self, name: Name) -> int:
        user_id = self._id(name)
        if user_id not in self._world.users:
            raise BadRequest(f"{name!r} is not a user")
        return user_id

    def _user(self, user: User) -> dict[str, Any]:
        code = self._sandbox.mtproto.codes.pending(user.phone)
        return {
            "id": user.id,
            "first_name": user.first_name,
            "last_name": user.last_name,
            "phone": user.phone,
            "username": user.username,
            "blocked": sorted(user.blocked),
            "login_code": code.code if code else None,
        }


def _chat(chat: Chat) -> dict[str, Any]:
    return {
        "id": chat.id,
        "kind": chat.kind,
        "title": chat.title,
        "username": chat.username,
        "invite_link": chat.invite_link,
        "owner": chat.owner,
        "migrated_to": chat.migrated_to,
        "migrated_from": chat.migrated_from,
        "linked": chat.linked,
        "members": list(chat.members),
    }
