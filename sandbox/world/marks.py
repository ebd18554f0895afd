"""What a message carries beside its text: its visible sender, via-bot, forward and album."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Forward:
    """What was forwarded: sent at `at` by `author`, a user id or marked chat id; None: somebody who hides it, so that
    only `name` is shown."""

    at: float
    author: int | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Marks:
    """`send_as`: the marked id of the channel that the sender writes as, or of the chat itself, as whose anonymous
    admin they write; `post_author` is what it is signed with. `via_bot`: the inline bot that made the text. `album`:
    the same for all items of one album. `photo`: it has a picture, and need not have a text."""

    send_as: int | None = None
    post_author: str = ""
    via_bot: int | None = None
    forward: Forward | None = None
    album: int | None = None
    photo: bool = False

    def as_json(self) -> dict[str, Any]:
        """Only what is there."""
        return {name: value for name, value in asdict(self).items() if value}


PLAIN = Marks()
