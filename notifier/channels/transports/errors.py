# Client errors (4xx) that a later attempt may not get again.
_TEMPORARY = frozenset([408, 409, 423, 425, 429])


class TransportError(Exception):
    """A notification was not delivered.

    `permanent` means that the same attempt will never succeed. `retry_after` is the wait in seconds that the receiver
    asks for.
    """

    def __init__(self, reason: str, *, permanent: bool = False, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.permanent = permanent
        self.retry_after = retry_after


def is_permanent(status: int) -> bool:
    """Whether a status other than 2xx will be the same for every later attempt."""
    return 300 <= status < 500 and status not in _TEMPORARY
