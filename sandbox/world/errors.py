"""Refusals of the world, named as Telegram names them."""


class WorldError(Exception):
    """A refusal; `name` is Telegram's error name, for example `CHAT_WRITE_FORBIDDEN`."""

    def __init__(self, name: str, detail: str = "") -> None:
        super().__init__(f"{name}: {detail}" if detail else name)
        self.name = name


class UnknownPeer(WorldError):
    """No such user or chat."""

    def __init__(self, detail: str) -> None:
        super().__init__("PEER_ID_INVALID", detail)
