class NotPossible(Exception):
    """The object's state does not allow this; the text tells an operator why."""
