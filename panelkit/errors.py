"""The refusal that services share and the panel's operations show."""


class NotPossible(Exception):
    """The object's state does not allow what was asked for; the text tells an operator why."""
