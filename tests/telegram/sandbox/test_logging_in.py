"""The second factor, QR codes, codes sent again and moves to another data centre: unmodified Telethon."""

import asyncio

import pytest
from telethon import errors, functions, types
from telethon.password import compute_check

from sandbox.mtproto.logins.tokens import token_of
from sandbox.world.actions import membership, sending
from sandbox.world.faults import Fault
from tests.telegram.sandbox_support import Inbox, Town, send, until

PASSWORD = "correct horse"
PHONE = "9996644444"


@pytest.fixture
def guarded(town: Town):
    """An account with a password."""
    return town.world.add_user(first_name="Gleb", phone=PHONE, password=PASSWORD)


async def test_a_password_is_required_after_the_code_and_proved_by_srp(town: Town, guarded) -> None:
    client = town.client()
    await client.connect()
    await client.send_code_request(PHONE)
    with pytest.raises(errors.SessionPasswordNeededError):
        await client.sign_in(PHONE, "44444")
    assert not await client.is_user_authorized()
    with pytest.raises(errors.PasswordHashInvalidError):
        await client.sign_in(password="wrong")
    assert (await client.sign_in(password=PASSWORD)).id == guarded.id
    assert await client.is_user_authorized()


async def test_the_password_may_follow_on_another_connection(town: Town, guarded) -> None:
    first = town.client()
    await first.connect()
    await first.send_code_request(PHONE)
    with pytest.raises(errors.SessionPasswordNeededError):
        await first.sign_in(PHONE, "44444")
    saved = first.session.save()
    await first.disconnect()
    second = town.client(saved)
    await second.connect()
    assert (await second.sign_in(password=PASSWORD)).id == guarded.id


async def test_an_srp_answer_is_good_once(town: Town, guarded) -> None:
    client = town.client()
    await client.connect()
    await client.send_code_request(PHONE)
    with pytest.raises(errors.SessionPasswordNeededError):
        await client.sign_in(PHONE, "44444")
    challenge = await client(functions.account.GetPasswordRequest())
    with pytest.raises(errors.PasswordHashInvalidError):
        await client(functions.auth.CheckPasswordRequest(compute_check(challenge, "wrong")))
    with pytest.raises(errors.SrpIdInvalidError):
        await client(functions.auth.CheckPasswordRequest(compute_check(challenge, PASSWORD)))


async def test_a_qr_code_is_scanned_by_another_session_of_the_account(town: Town) -> None:
    phone, desk = await town.login(town.anna), town.client()
    await desk.connect()
    shown = await desk.qr_login()
    waiting = asyncio.ensure_future(shown.wait(60))
    await asyncio.sleep(0)
    assert token_of(shown.url) == shown.token
    await phone(functions.auth.AcceptLoginTokenRequest(shown.token))
    assert (await waiting).id == town.anna.id
    assert await desk.is_user_authorized()
    with pytest.raises(errors.AuthTokenInvalidError):
        await phone(functions.auth.AcceptLoginTokenRequest(shown.token))


async def test_a_scanned_code_is_found_by_asking_too_and_may_lead_to_another_data_centre(town: Town) -> None:
    phone, desk = await town.login(town.anna), town.client()
    await desk.connect()
    shown = await desk.qr_login()
    town.sandbox.faults.plan(Fault(kind="LOGIN_TOKEN_MIGRATE"))
    await phone(functions.auth.AcceptLoginTokenRequest(shown.token))
    moved = await desk(functions.auth.ExportLoginTokenRequest(1, "hash", []))
    assert isinstance(moved, types.auth.LoginTokenMigrateTo)
    await desk._switch_dc(moved.dc_id)
    done = await desk(functions.auth.ImportLoginTokenRequest(moved.token))
    assert done.authorization.user.id == town.anna.id


async def test_a_qr_code_of_an_account_with_a_password_requires_it(town: Town, guarded) -> None:
    desk = town.client()
    await desk.connect()
    shown = await desk.qr_login()
    town.sandbox.mtproto.accept_token(shown.token, guarded.id)
    with pytest.raises(errors.SessionPasswordNeededError):
        await desk(functions.auth.ExportLoginTokenRequest(1, "hash", []))
    assert (await desk.sign_in(password=PASSWORD)).id == guarded.id


async def test_a_token_stays_the_same_until_it_expires(town: Town) -> None:
    phone, desk = await town.login(town.anna), town.client()
    await desk.connect()
    shown = await desk.qr_login()
    first = shown.token
    await shown.recreate()
    assert shown.token == first
    real = town.world.clock
    town.world.clock = lambda: real() + 60
    with pytest.raises(errors.AuthTokenExpiredError):
        await phone(functions.auth.AcceptLoginTokenRequest(first))
    await shown.recreate()
    town.world.clock = real
    assert shown.token != first


async def test_a_code_is_sent_again_in_the_next_way_until_there_is_none(town: Town) -> None:
    client = town.client()
    await client.connect()
    sent = await client(functions.auth.SendCodeRequest("9996611111", 1, "hash", types.CodeSettings()))
    ways = [(type(sent.type).__name__, type(sent.next_type).__name__)]
    for _ in range(2):
        again = await client(functions.auth.ResendCodeRequest("9996611111", sent.phone_code_hash))
        ways.append((type(again.type).__name__, type(again.next_type).__name__))
    assert ways == [
        ("SentCodeTypeApp", "CodeTypeSms"),
        ("SentCodeTypeSms", "CodeTypeCall"),
        ("SentCodeTypeCall", "NoneType"),
    ]
    with pytest.raises(errors.SendCodeUnavailableError):
        await client(functions.auth.ResendCodeRequest("9996611111", sent.phone_code_hash))
    assert (await client.sign_in("9996611111", "11111", phone_code_hash=sent.phone_code_hash)).id == town.anna.id


async def test_a_code_expires(town: Town) -> None:
    client = town.client()
    await client.connect()
    await client.send_code_request("9996611111")
    town.sandbox.mtproto.codes.expire("9996611111")
    with pytest.raises(errors.PhoneCodeExpiredError):
        await client.sign_in("9996611111", "11111")


async def test_a_banned_phone_is_refused_and_others_are_not(town: Town) -> None:
    town.sandbox.faults.plan(Fault(kind="PHONE_NUMBER_BANNED", user=town.anna.id, times=None))
    client = town.client()
    await client.connect()
    with pytest.raises(errors.PhoneNumberBannedError):
        await client.send_code_request("9996611111")
    assert await client.send_code_request("9996622222")


async def test_a_phone_at_home_in_another_data_centre_is_sent_there(town: Town) -> None:
    town.sandbox.faults.plan(Fault(kind="PHONE_MIGRATE"))
    client = town.client(request_retries=2)
    await client.connect()
    await client.send_code_request("9996611111")
    assert client.session.dc_id == 4
    assert (await client.sign_in("9996611111", "11111")).id == town.anna.id


async def test_a_frozen_account_may_read_and_not_write(town: Town) -> None:
    anna = await town.login(town.anna)
    town.sandbox.faults.plan(Fault(kind="FROZEN_METHOD_INVALID", user=town.anna.id, times=None))
    boris = await anna.get_input_entity("boris")
    with pytest.raises(errors.FrozenMethodInvalidError):
        await send(anna, boris, "Hello", random_id=1)
    assert not town.world.ledger


async def test_a_user_who_requests_to_join_is_a_member_once_approved(town: Town) -> None:
    club = town.world.add_chat(kind="group", title="Club", invite_hash="ClubInvite", owner=town.boris.id, approval=True)
    anna = await town.login(town.anna)
    assert (await anna(functions.messages.CheckChatInviteRequest("ClubInvite"))).request_needed
    with pytest.raises(errors.InviteRequestSentError):
        await anna(functions.messages.ImportChatInviteRequest("ClubInvite"))
    assert town.anna.id not in club.members
    membership.approve(town.world, town.anna.id, club.id)
    assert town.anna.id in club.members


async def test_an_update_that_is_lost_is_made_up_for_by_the_next_and_one_that_is_doubled_counts_once(
    town: Town,
) -> None:
    anna = await town.login(town.anna)
    inbox = Inbox(anna)
    sending.send(town.world, user_id=town.boris.id, peer=town.square.id, text="one")
    await inbox.wait_for(1)
    town.sandbox.faults.plan(Fault(kind="UPDATE_LOST", user=town.anna.id, chat=town.square.id))
    sending.send(town.world, user_id=town.boris.id, peer=town.square.id, text="two")
    town.sandbox.faults.plan(Fault(kind="UPDATE_DOUBLED", user=town.anna.id, chat=town.square.id))
    sending.send(town.world, user_id=town.boris.id, peer=town.square.id, text="three")
    sending.send(town.world, user_id=town.boris.id, peer=town.square.id, text="four")
    await until(lambda: "four" in inbox.texts)
    assert sorted(inbox.texts) == sorted(["one", "two", "three", "four"])
    assert not town.sandbox.faults.as_json()
