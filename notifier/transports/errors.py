class TransportError(Exception):
    """A notification was not delivered. `permanent`: the same attempt will never succeed. `retry_after`: seconds that
    the receiver asks for."""

    def __init__(self, reason: str, *, permanent: bool = False, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.permanent = permanent
        self.retry_after = retry_after
