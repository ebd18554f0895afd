"""auth.*: logging in by a code, and out."""

import re
from typing import Any

from telethon.tl import functions, types

from sandbox.mtproto.codes import CODE_LENGTH, LoginCode
from sandbox.mtproto.rpc import Call, RpcFailure, handles
from sandbox.mtproto.views import View
from sandbox.registry import normalised_phone

CODE_VALID_SECONDS = 120
PHONE = re.compile(r"\d{5,15}")


@handles(functions.auth.SendCodeRequest, functions.auth.ResendCodeRequest, login=False)
def send_code(call: Call, request: Any) -> Any:
    """A code for any well-formed number: that nobody has it shows only at sign-in, as on Telegram."""
    phone = normalised_phone(request.phone_number)
    if not PHONE.fullmatch(phone):
        raise RpcFailure("PHONE_NUMBER_INVALID")
    if isinstance(request, functions.auth.ResendCodeRequest):
        _pending(call, phone, request.phone_code_hash)
    code = call.server.codes.issue(phone)
    return types.auth.SentCode(
        type=types.auth.SentCodeTypeApp(length=CODE_LENGTH),
        phone_code_hash=code.hash,
        next_type=types.auth.CodeTypeSms(),
        timeout=CODE_VALID_SECONDS,
    )


@handles(functions.auth.SignInRequest, login=False)
def sign_in(call: Call, request: Any) -> Any:
    phone = normalised_phone(request.phone_number)
    pending = _pending(call, phone, request.phone_code_hash)
    if not request.phone_code:
        raise RpcFailure("PHONE_CODE_EMPTY")
    if request.phone_code != pending.code:
        raise RpcFailure("PHONE_CODE_INVALID")
    user = call.world.find_phone(phone)
    if user is None:
        return types.auth.AuthorizationSignUpRequired()
    call.server.codes.use(phone)
    if call.connection.key:
        call.server.auth_keys.bind(call.connection.key, user.id)
    return types.auth.Authorization(user=View(call.world, user.id).user(user))


@handles(functions.auth.SignUpRequest, login=False)
def sign_up(_call: Call, _request: Any) -> Any:
    """Third-party applications cannot create accounts."""
    raise RpcFailure("PHONE_NUMBER_UNOCCUPIED")


@handles(functions.auth.LogOutRequest)
def log_out(call: Call, _request: Any) -> Any:
    if call.connection.key:
        call.server.auth_keys.bind(call.connection.key, None)
    call.connection.wants_updates = False
    return types.auth.LoggedOut()


def _pending(call: Call, phone: str, code_hash: str) -> LoginCode:
    pending = call.server.codes.pending(phone)
    if pending is None or pending.hash != code_hash:
        raise RpcFailure("PHONE_CODE_EXPIRED")
    return pending
