"""The errors of the world, with Telegram's error names."""


class WorldError(Exception):
    """The world refuses a change. `name` is Telegram's error name, for example `CHAT_WRITE_FORBIDDEN`."""

    def __init__(self, name: str, detail: str = "") -> None:
        super().__init__(f"{name}: {detail}" if detail else name)
        self.name = name


class UnknownPeer(WorldError):
    """No such user or chat."""

    def __init__(self, detail: str) -> None:
        super().__init__("PEER_ID_INVALID", detail)
