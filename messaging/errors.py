"""What the bus's services, and those that change a broker, refuse."""


class NotPossible(Exception):
    """The row's state or content does not allow what was asked; the text is for the operator."""


class MoveRefused(Exception):
    """Nothing (more) can be made anew on the broker now; the text says why. A later run goes on from here."""
