"""The control API: what it shows, what it changes, and what it refuses."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from telethon import errors

from tests.telegram.sandbox_support import Inbox, Town, until


class Control:
    """JSON over HTTP; an unexpected status fails the test."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def get(self, path: str) -> Any:
        return await self._call("GET", path, None, 200)

    async def post(self, path: str, body: Any, status: int = 201) -> Any:
        return await self._call("POST", path, body, status)

    async def delete(self, path: str) -> None:
        await self._call("DELETE", path, None, 204)

    async def _call(self, method: str, path: str, body: Any, status: int) -> Any:
        sent = {"data": body} if isinstance(body, bytes) else {"json": body}
        async with self._session.request(method, path, **sent) as answer:
            text = await answer.text()
            assert answer.status == status, text
            return await answer.json() if text else None


@pytest.fixture
async def control(town: Town) -> AsyncIterator[Control]:
    async with aiohttp.ClientSession(town.sandbox.http_url) as session:
        yield Control(session)


async def test_users_and_chats_are_made_one_or_many(town: Town, control: Control) -> None:
    (gleb,) = await control.post("/users", {"first_name": "Gleb", "username": "gleb_g", "phone": "+7900"})
    sonya, misha = await control.post("/users", [{"first_name": "Sonya"}, {"first_name": "Misha"}])
    (chat,) = await control.post(
        "/chats",
        {"kind": "supergroup", "title": "Yard", "members": ["@gleb_g", sonya["id"]], "owner": misha["id"]},
    )
    world = await control.get("/world")
    assert gleb["id"] in {user["id"] for user in world["users"]}
    shown = next(c for c in world["chats"] if c["id"] == chat["id"])
    assert set(shown["members"]) == {gleb["id"], sonya["id"], misha["id"]}
    assert shown["invite_link"].startswith("https://t.me/+")


async def test_a_person_writes_and_a_client_hears_it(town: Town, control: Control) -> None:
    anna = await town.login(town.anna)
    inbox = Inbox(anna)
    first = await control.post("/say", {"user": "@boris", "peer": "@the_square", "text": "Anyone?"})
    second = await control.post(
        "/say", {"user": town.vera.id, "peer": town.square.id, "text": "Me", "reply_to": first["seq"]}
    )
    await control.post("/say", {"user": "@boris", "peer": "@anna", "text": "Psst"})
    assert await inbox.wait_for(3) == ["Anyone?", "Me", "Psst"]
    assert inbox.events[1].message.reply_to_msg_id == first["channel_message_id"]
    ledger = await control.get("/ledger")
    assert [entry["text"] for entry in ledger] == ["Anyone?", "Me", "Psst"]
    assert (ledger[1]["reply_to"], ledger[1]["by"], ledger[1]["random_id"]) == (first["seq"], "person", None)
    assert await control.get(f"/ledger?since={second['seq']}") == ledger[2:]


async def test_several_people_write_with_one_request(town: Town, control: Control) -> None:
    lines = [{"user": who, "peer": "@the_square", "text": f"It is {who}"} for who in ("@boris", town.vera.id)]
    sent = await control.post("/say", lines)
    assert [entry["text"] for entry in sent] == [line["text"] for line in lines]
    assert await control.get("/ledger") == sent


async def test_the_author_and_the_shown_author_are_in_the_answer(town: Town, control: Control) -> None:
    town.square.owner = town.anna.id
    await control.post("/describe", {"user": "@boris", "bot": True, "scam": True}, 204)
    await control.post("/describe", {"user": town.vera.id, "deleted": True}, 204)
    assert (town.boris.bot, town.boris.scam, town.boris.fake, town.vera.deleted) == (True, True, False, True)
    sent = {"user": "@anna", "peer": "@the_square", "text": "The rules"}
    facts = {"send_as": "@the_square", "via_bot": "@boris", "forwarded_from": town.vera.id, "post_author": "A."}
    marks = (await control.post("/say", sent | facts))["marks"]
    assert (marks["send_as"], marks["via_bot"], marks["post_author"]) == (town.square.id, town.boris.id, "A.")
    assert marks["forward"]["author"] == town.vera.id
    pictures = await control.post("/album", {"user": "@anna", "peer": "@the_square", "texts": ["Teas", ""]})
    assert len({entry["marks"]["album"] for entry in pictures}) == 1
    await control.post("/say", sent | {"user": "@boris", "send_as": "@the_square"}, 400)


async def test_the_world_shows_login_codes_and_connections(town: Town, control: Control) -> None:
    client = town.client()
    await client.connect()
    await client.send_code_request(town.anna.phone)
    users = {user["id"]: user for user in (await control.get("/world"))["users"]}
    assert users[town.anna.id]["login_code"] == "11111"
    assert users[town.boris.id]["login_code"] is None
    await client.sign_in(town.anna.phone, "11111")
    world = await control.get("/world")
    (connection,) = world["connections"]
    assert connection["user"] == town.anna.id
    assert len(connection["auth_key"]) == 8
    assert next(u for u in world["users"] if u["id"] == town.anna.id)["login_code"] is None


async def test_faults_are_planned_listed_and_removed(town: Town, control: Control) -> None:
    anna = await town.login(town.anna)
    await control.post("/faults", {"kind": "FLOOD_WAIT", "seconds": 9, "times": 3})
    with pytest.raises(errors.FloodWaitError):
        await anna.send_message("boris", "Hello")
    (fault,) = await control.get("/faults")
    assert (fault["kind"], fault["times"]) == ("FLOOD_WAIT", 2)
    await control.delete("/faults")
    assert await control.get("/faults") == []


async def test_people_join_leave_and_block(town: Town, control: Control) -> None:
    chat = town.world.add_chat(kind="group", title="Yard")
    await control.post("/join", {"user": "@boris", "chat": chat.id}, 204)
    assert list(chat.members) == [town.boris.id]
    await control.post("/leave", {"user": "@boris", "chat": chat.id}, 204)
    assert not chat.members
    await control.post("/block", {"user": "@boris", "other": "@anna"}, 204)
    assert town.boris.blocked == {town.anna.id}


async def test_reset_forgets_everything_and_logs_everyone_out(town: Town, control: Control) -> None:
    anna = await town.login(town.anna, auto_reconnect=False)
    await control.post("/faults", {"kind": "PEER_FLOOD"})
    await control.post("/reset", None, 204)
    world = await control.get("/world")
    assert (world["users"], world["chats"], world["ledger"]) == ([], [], 0)
    assert await control.get("/faults") == []
    await until(lambda: not anna.is_connected())
    again = town.client(anna.session.save())
    await again.connect()
    assert not await again.is_user_authorized()


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/faults", {"kind": "NOISE"}, "kind"),
        ("/faults", b"{", "not JSON"),
        ("/faults", b"\xff", "not JSON"),
        ("/faults", [{"kind": "FLOOD_WAIT"}, {"kind": "NOISE"}], "1.kind"),
        ("/users", {"last_name": "Nobody"}, "first_name"),
        ("/users", {"first_name": "A", "usrname": "a"}, "usrname"),
        ("/users", {"first_name": "A", "username": "anna"}, "USERNAME_OCCUPIED"),
        ("/chats", {"kind": "forum", "title": "A"}, "kind"),
        ("/chats", {"kind": "group", "title": "A", "members": ["@nobody"]}, "nobody"),
        ("/say", {"user": "@boris", "peer": "@nobody", "text": "x"}, "nobody"),
        ("/say", {"user": 5, "peer": "@anna", "text": "x"}, "5 is not a user"),
        ("/say", {"user": "@boris", "peer": 5, "text": "x"}, "PEER_ID_INVALID"),
        ("/say", {"user": "@boris", "peer": "@anna", "text": "x", "reply_to": 7}, "reply_to"),
        ("/say", {"user": "@boris", "peer": "@anna", "text": ""}, "MESSAGE_EMPTY"),
    ],
)
async def test_nonsense_is_refused_with_a_reason(
    town: Town, control: Control, path: str, body: Any, reason: str
) -> None:
    answer = await control.post(path, body, 400)
    assert reason in answer["error"]
    assert town.world.ledger == []
    assert await control.get("/faults") == []


async def test_a_malformed_since_is_refused(control: Control) -> None:
    answer = await control._call("GET", "/ledger?since=x", None, 400)
    assert "since" in answer["error"]


async def test_health_shows_the_port_of_telegram(town: Town, control: Control) -> None:
    assert await control.get("/health") == {"ok": True, "mtproto_port": town.sandbox.mtproto_port}


async def test_the_llm_endpoint_is_served_beside_it(town: Town, control: Control) -> None:
    assert "requests" in await control.get("/llm/requests")
