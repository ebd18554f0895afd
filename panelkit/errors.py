"""The exception with which services refuse an operation. The panel shows its text."""


class NotPossible(Exception):
    """The object's state does not allow the operation. The text explains the reason to the operator."""
