"""Numbers with nouns, for messages."""


def counted(number: int, singular: str, several: str = "") -> str:
    """`1 letter`, `2 letters`. `several` is an irregular plural: counted(n, "value is", "values are")."""
    return f"{number} {singular if number == 1 else several or f'{singular}s'}"
