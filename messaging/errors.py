"""What the bus's services refuse."""


class NotPossible(Exception):
    """The row's state or content does not allow what was asked; the text is for the operator."""
