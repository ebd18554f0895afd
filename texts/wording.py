"""Numbers of things, as people say them."""


def counted(number: int, singular: str, several: str = "") -> str:
    """`1 letter`, `2 letters`; `several` where an s at the end does not do: counted(n, "value is", "values are")."""
    return f"{number} {singular if number == 1 else several or f'{singular}s'}"
