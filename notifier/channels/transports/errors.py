# HTTP statuses that a later attempt may change, though they blame the request.
_TEMPORARY = frozenset([408, 409, 423, 425, 429])


class TransportError(Exception):
    """A notification was not delivered. `permanent`: the same attempt will never succeed. `retry_after`: seconds that
    the receiver asks for."""

    def __init__(self, reason: str, *, permanent: bool = False, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.permanent = permanent
        self.retry_after = retry_after


def is_permanent(status: int) -> bool:
    """Whether an HTTP answer other than 2xx stays the same however often it is asked for."""
    return 300 <= status < 500 and status not in _TEMPORARY
