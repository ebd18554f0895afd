"""Why the scripts room refuses to do something; the message is for an operator."""

from collections.abc import Sequence
from uuid import UUID


class ScriptsError(Exception):
    pass


class UnknownScript(ScriptsError):
    def __init__(self, assignment_id: UUID | str) -> None:
        super().__init__(f"no assignment has the id {str(assignment_id)[:60]!r}")


class CannotStart(ScriptsError):
    """`problems`: each thing that keeps the play from starting."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


class AssignedAlready(ScriptsError):
    """The script has another assignment to the campaign that has not ended."""

    def __init__(self) -> None:
        super().__init__("it is assigned to this campaign once more, and that has not ended")


class CastFixed(ScriptsError):
    """It was activated: its cast, chats and script are on record."""

    def __init__(self, assignment: str, state: str) -> None:
        super().__init__(
            f"{assignment} is {state}: its cast and chats are what is played. When it has ended, play it again: that "
            "makes a draft, whose cast and chats you may change"
        )


class MoveRefused(ScriptsError):
    """The play is in a state from which it cannot be moved like that."""

    def __init__(self, what: str, state: str, wish: str) -> None:
        super().__init__(f"{what} is {state}: it cannot be {wish}")
