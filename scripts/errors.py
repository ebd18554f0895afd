"""The errors of the scripts room. Their messages are for operators."""

from collections.abc import Sequence
from uuid import UUID


class ScriptsError(Exception):
    pass


class UnknownScript(ScriptsError):
    def __init__(self, assignment_id: UUID | str) -> None:
        super().__init__(f"no assignment has the id {str(assignment_id)[:60]!r}")


class CannotStart(ScriptsError):
    """`problems`: the reasons why the assignment cannot start."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


class AssignedAlready(ScriptsError):
    """The script has another assignment in the campaign that has not ended."""

    def __init__(self) -> None:
        super().__init__("the script has another assignment in this campaign that has not ended")


class CastFixed(ScriptsError):
    """The assignment was activated, so its cast, targets and script cannot be changed any more."""

    def __init__(self, assignment: str, state: str) -> None:
        super().__init__(
            f"{assignment} is in the state “{state}”, so its cast and chats can no longer be changed. When it has "
            "ended, choose “Play again”: you can change the cast and chats of the new draft"
        )


class MoveRefused(ScriptsError):
    """The state of the assignment or play does not allow this change."""

    def __init__(self, what: str, state: str, wish: str) -> None:
        super().__init__(f"{what} is {state}: it cannot be {wish}")
