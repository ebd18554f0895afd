"""Logging in, coming back, and being thrown out."""

import asyncio
from collections.abc import Set
from functools import partial

import pytest
from telethon import errors, functions

from sandbox.mtproto.server_state import Client
from tests.telegram.sandbox_support import Town, until


async def test_a_test_number_logs_in_with_its_fixed_code(town: Town) -> None:
    client = await town.login(town.anna)
    me = await client.get_me()
    assert (me.id, me.first_name, me.phone) == (town.anna.id, "Anna", "9996611111")


async def test_any_other_number_gets_a_code_that_the_server_shows(town: Town) -> None:
    gleb = town.world.add_user(first_name="Gleb", phone="+7 900 123-45-67")
    client = town.client()
    await client.connect()
    await client.send_code_request("+79001234567")
    code = town.sandbox.mtproto.codes.pending("79001234567")
    assert code
    assert len(code.code) == 5
    me = await client.sign_in("+79001234567", code.code)
    assert me.id == gleb.id


async def test_a_wrong_code_is_refused_and_the_right_one_still_works(town: Town) -> None:
    client = town.client()
    await client.connect()
    await client.send_code_request(town.anna.phone)
    with pytest.raises(errors.PhoneCodeInvalidError):
        await client.sign_in(town.anna.phone, "00000")
    assert not await client.is_user_authorized()
    await client.sign_in(town.anna.phone, "11111")
    assert await client.is_user_authorized()


async def test_a_code_for_an_older_hash_is_expired(town: Town) -> None:
    client = town.client()
    await client.connect()
    await client.send_code_request(town.anna.phone)
    with pytest.raises(errors.PhoneCodeExpiredError):
        await client(functions.auth.SignInRequest(town.anna.phone, "another", "11111"))


async def test_nobody_can_sign_in_with_an_unknown_number(town: Town) -> None:
    client = town.client()
    await client.connect()
    await client.send_code_request("9996655555")
    with pytest.raises(errors.PhoneNumberUnoccupiedError):
        await client.sign_in("9996655555", "55555")


async def test_requests_without_a_login_are_unauthorized(town: Town) -> None:
    client = town.client()
    await client.connect()
    with pytest.raises(errors.AuthKeyUnregisteredError):
        await client(functions.updates.GetStateRequest())


async def test_a_saved_session_needs_no_second_login(town: Town) -> None:
    first = await town.login(town.anna)
    saved = first.session.save()
    await first.disconnect()
    second = town.client(saved)
    await second.connect()
    assert (await second.get_me()).id == town.anna.id


async def test_logging_out_ends_the_session(town: Town) -> None:
    client = await town.login(town.anna)
    saved = client.session.save()
    assert await client.log_out()
    again = town.client(saved)
    await again.connect()
    assert not await again.is_user_authorized()


async def test_reconnecting_many_times_is_never_taken_for_a_duplicate(town: Town) -> None:
    client = await town.login(town.anna)
    saved = client.session.save()
    for _ in range(10):
        client._sender._connection._writer.transport.abort()
        await client.disconnect()
        client = town.client(saved)
        await client.connect()
        assert (await client.get_me()).id == town.anna.id


async def test_a_client_that_reconnects_by_itself_is_never_taken_for_a_duplicate(town: Town) -> None:
    client = await town.login(town.anna)
    for _ in range(5):
        before = set(town.sandbox.mtproto.connections)
        for connection in before:
            connection.drop()
        await until(partial(_anyone_new, town, before), "a reconnect")
        assert (await client.get_me()).id == town.anna.id


async def test_two_open_connections_with_one_key_destroy_it(town: Town) -> None:
    first = await town.login(town.anna, auto_reconnect=False)
    second = town.client(first.session.save(), auto_reconnect=False)
    with pytest.raises(errors.AuthKeyDuplicatedError):
        await second.connect()
        await second.get_me()
    with pytest.raises(errors.AuthKeyDuplicatedError):
        await first(functions.updates.GetStateRequest())
    third = town.client(first.session.save())
    await first.disconnect()
    await second.disconnect()
    with pytest.raises(errors.AuthKeyDuplicatedError):
        await third.connect()
        await third.get_me()


async def test_one_account_may_have_two_sessions_of_its_own(town: Town) -> None:
    first, second = await town.login(town.anna), await town.login(town.anna)
    assert (await first.get_me()).id == (await second.get_me()).id


async def test_an_unknown_key_is_refused(town: Town) -> None:
    first = await town.login(town.anna)
    saved = first.session.save()
    await first.disconnect()
    town.sandbox.mtproto.auth_keys.load([])
    second = town.client(saved, auto_reconnect=False)
    with pytest.raises((ConnectionError, errors.AuthKeyNotFound)):
        await second.connect()
        await second.get_me()


async def test_the_server_drops_a_client_whose_delayed_ping_runs_out(town: Town) -> None:
    client = await town.login(town.anna, auto_reconnect=False)
    await client(functions.PingDelayDisconnectRequest(1, disconnect_delay=1))
    await until(lambda: not client.is_connected(), "the drop")
    await until(lambda: not town.sandbox.mtproto.connections)


async def test_a_new_delayed_ping_puts_the_drop_off(town: Town) -> None:
    client = await town.login(town.anna, auto_reconnect=False)
    await client(functions.PingDelayDisconnectRequest(1, disconnect_delay=1))
    await client(functions.PingDelayDisconnectRequest(2, disconnect_delay=600))
    loop = asyncio.get_running_loop()
    asked_at = loop.time()
    await until(lambda: loop.time() > asked_at + 1.5)
    assert (await client.get_me()).id == town.anna.id


async def test_service_requests_are_answered(town: Town) -> None:
    client = await town.login(town.anna)
    salts = await client(functions.GetFutureSaltsRequest(1))
    assert salts.salts[0].salt == client._sender._state.salt
    pong = await client(functions.PingRequest(77))
    assert pong.ping_id == 77


async def test_an_unsupported_method_gets_an_error_and_the_connection_stays(town: Town) -> None:
    client = await town.login(town.anna)
    with pytest.raises(errors.BadRequestError, match="METHOD_NOT_SUPPORTED"):
        await client(functions.messages.GetAllStickersRequest(0))
    assert (await client.get_me()).id == town.anna.id
    assert len(town.sandbox.mtproto.connections) == 1


async def test_a_bug_in_a_handler_is_an_internal_error(
    town: Town, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = await town.login(town.anna)
    monkeypatch.setattr(town.world, "find_username", None)
    with pytest.raises(errors.ServerError):
        # Past the client, which would try again for seconds.
        await client._sender.send(functions.contacts.ResolveUsernameRequest("boris"))
    assert "contacts.resolveUsername failed" in caplog.text
    assert (await client.get_me()).id == town.anna.id


def _anyone_new(town: Town, known: Set[Client]) -> bool:
    return bool(town.sandbox.mtproto.connections - known)
