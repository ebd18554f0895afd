class TransportError(Exception):
    """A notification was not delivered. `permanent`: the same attempt will never succeed."""

    def __init__(self, reason: str, *, permanent: bool = False) -> None:
        super().__init__(reason)
        self.permanent = permanent
