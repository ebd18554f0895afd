"""The routes of the control API."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from sandbox.control.bodies import BadRequest
from sandbox.control.handlers import Control, ControlledSandbox
from sandbox.world.errors import WorldError

Handler = Callable[[web.Request], Awaitable[web.Response]]


def add_control_routes(app: web.Application, sandbox: ControlledSandbox) -> None:
    control = Control(sandbox)
    gets = {"/health": control.health, "/ledger": control.ledger, "/world": control.world}
    posts = {
        "/users": control.add_users,
        "/chats": control.add_chats,
        "/say": control.send_messages,
        "/album": control.send_album,
        "/describe": control.describe,
        "/edit": control.edit,
        "/delete": control.delete,
        "/react": control.react,
        "/join": control.join,
        "/approve": control.approve,
        "/upgrade": control.upgrade,
        "/topics": control.begin_topic,
        "/discussions": control.set_discussion,
        "/rename": control.rename,
        "/hand_over": control.hand_over,
        "/collect": control.collect,
        "/leave": control.leave,
        "/scan": control.scan,
        "/block": control.block,
        "/faults": control.plan_faults,
        "/reset": control.reset,
    }
    for path, handler in (gets | {"/faults": control.faults}).items():
        app.router.add_get(path, _with_errors(handler))
    for path, handler in posts.items():
        app.router.add_post(path, _with_errors(handler))
    app.router.add_delete("/faults", _with_errors(control.clear_faults))


def _with_errors(handler: Handler) -> Handler:
    """The handler, but an invalid request is answered with 400."""

    async def wrapped(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except (BadRequest, WorldError) as error:
            return web.json_response({"error": str(error)}, status=400)

    return wrapped
