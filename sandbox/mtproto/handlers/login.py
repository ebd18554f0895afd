"""auth.*: logging in by a code, a password or a QR code, and out."""

import re
from typing import Any

from telethon.tl import functions, types

from sandbox.mtproto.logins.codes import CODE_LENGTH, RESEND_AFTER, CodeKind, LoginCode
from sandbox.mtproto.logins.passwords import fresh_algorithms
from sandbox.mtproto.logins.tokens import LoginToken
from sandbox.mtproto.rpc import RpcCall, handles
from sandbox.mtproto.rpc_errors import RpcFailure
from sandbox.mtproto.updates.views import View
from sandbox.world.entities import User
from sandbox.world.faults import OTHER_DC
from sandbox.world.registry import normalised_phone

PHONE = re.compile(r"\d{5,15}")
SENT: dict[CodeKind, Any] = {
    "app": types.auth.SentCodeTypeApp,
    "sms": types.auth.SentCodeTypeSms,
    "call": types.auth.SentCodeTypeCall,
}
NEXT: dict[CodeKind, Any] = {"sms": types.auth.CodeTypeSms, "call": types.auth.CodeTypeCall}


@handles(functions.auth.SendCodeRequest, login=False)
def send_code(call: RpcCall, request: Any) -> Any:
    """Send a code to any well-formed number. As on Telegram, an unknown number fails only at the sign-in."""
    phone = normalised_phone(request.phone_number)
    if not PHONE.fullmatch(phone):
        raise RpcFailure("PHONE_NUMBER_INVALID")
    return _sent(call.server.codes.issue(phone))


@handles(functions.auth.ResendCodeRequest, login=False)
def resend_code(call: RpcCall, request: Any) -> Any:
    phone = normalised_phone(request.phone_number)
    code = call.server.codes.resend(_pending(call, phone, request.phone_code_hash))
    if code is None:
        raise RpcFailure("SEND_CODE_UNAVAILABLE")
    return _sent(code)


@handles(functions.auth.CancelCodeRequest, login=False)
def cancel_code(call: RpcCall, request: Any) -> bool:
    phone = normalised_phone(request.phone_number)
    _pending(call, phone, request.phone_code_hash)
    call.server.codes.use(phone)
    return True


@handles(functions.auth.SignInRequest, login=False)
def sign_in(call: RpcCall, request: Any) -> Any:
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
    return _first_factor(call, user)


@handles(functions.auth.SignUpRequest, login=False)
def sign_up(_call: RpcCall, _request: Any) -> Any:
    """Third-party applications cannot create accounts."""
    raise RpcFailure("PHONE_NUMBER_UNOCCUPIED")


@handles(functions.account.GetPasswordRequest, login=False)
def get_password(call: RpcCall, _request: Any) -> Any:
    user = _waiting(call) or call.user
    return call.server.passwords.challenge(user) if user.password else types.account.Password(**fresh_algorithms())


@handles(functions.auth.CheckPasswordRequest, login=False)
def check_password(call: RpcCall, request: Any) -> Any:
    user = _waiting(call)
    if user is None:
        raise RpcFailure("AUTH_KEY_UNREGISTERED")
    if isinstance(request.password, types.InputCheckPasswordEmpty):
        raise RpcFailure("PASSWORD_EMPTY")
    call.server.passwords.check(user, request.password)
    return _logged_in(call, user)


@handles(functions.auth.ExportLoginTokenRequest, login=False)
def export_login_token(call: RpcCall, _request: Any) -> Any:
    """The token to show. Once a user has accepted it, the login."""
    assert call.connection.key
    token = call.server.tokens.of(call.connection.key)
    if token.user_id is None:
        return types.auth.LoginToken(int(token.expires_at), token.token)
    if call.server.faults.take(method=call.method, user=token.user_id, chat=None, stage="token"):
        return types.auth.LoginTokenMigrateTo(OTHER_DC, token.token)
    return _by_token(call, token)


@handles(functions.auth.ImportLoginTokenRequest, login=False)
def import_login_token(call: RpcCall, request: Any) -> Any:
    return _by_token(call, call.server.tokens.accepted(request.token))


@handles(functions.auth.AcceptLoginTokenRequest)
def accept_login_token(call: RpcCall, request: Any) -> Any:
    """Accept a token that the caller has scanned."""
    call.server.accept_token(request.token, call.user_id)
    now = int(call.server.wall_clock())
    return types.Authorization(
        hash=0,
        device_model="CoolThing",
        platform="",
        system_version="",
        api_id=0,
        app_name="",
        app_version="",
        date_created=now,
        date_active=now,
        ip=call.server.host,
        country="",
        region="",
    )


@handles(functions.auth.LogOutRequest)
def log_out(call: RpcCall, _request: Any) -> Any:
    if call.connection.key:
        call.server.auth_keys.bind(call.connection.key, None)
    call.connection.wants_updates = False
    return types.auth.LoggedOut()


def _sent(code: LoginCode) -> Any:
    return types.auth.SentCode(
        type=SENT[code.kind](length=CODE_LENGTH),
        phone_code_hash=code.hash,
        next_type=NEXT[code.next_kind]() if code.next_kind else None,
        timeout=RESEND_AFTER[code.kind],
    )


def _pending(call: RpcCall, phone: str, code_hash: str) -> LoginCode:
    pending = call.server.codes.pending(phone)
    if pending is None or pending.hash != code_hash:
        raise RpcFailure("PHONE_CODE_EXPIRED")
    return pending


def _by_token(call: RpcCall, token: LoginToken) -> Any:
    assert token.user_id is not None
    call.server.tokens.use(token)
    return types.auth.LoginTokenSuccess(_first_factor(call, call.world.users[token.user_id]))


def _first_factor(call: RpcCall, user: User) -> Any:
    """Log the user in, unless the account also has a password."""
    if not user.password:
        return _logged_in(call, user)
    if call.connection.key:
        call.connection.key.awaits_password = user.id
    raise RpcFailure("SESSION_PASSWORD_NEEDED")


def _logged_in(call: RpcCall, user: User) -> Any:
    if call.connection.key:
        call.server.auth_keys.bind(call.connection.key, user.id)
    return types.auth.Authorization(user=View(call.world, user.id).user(user))


def _waiting(call: RpcCall) -> User | None:
    """The user whose password is still missing for this key."""
    key = call.connection.key
    return call.world.users.get(key.awaits_password) if key and key.awaits_password else None
