"""The properties of a message besides its text: its shown sender, inline bot, forward and album."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Forward:
    """The origin of a forwarded message, which was sent at `at`.

    `author` is a user id or a marked chat id; None if the author hides the account, so that only `name` is shown.
    `post`: the number of a channel's post that Telegram has forwarded to the channel's discussion group.
    """

    at: float
    author: int | None = None
    name: str = ""
    post: int | None = None


@dataclass(frozen=True, slots=True)
class Marks:
    """`send_as`: the marked id of the channel as which the sender writes, or of the chat itself for an anonymous admin,
    who may sign as `post_author`. `via_bot`: the inline bot that wrote the text. `album`: the same number for all
    messages of an album. `photo`: the message has a picture, so its text may be empty.
    """

    send_as: int | None = None
    post_author: str = ""
    via_bot: int | None = None
    forward: Forward | None = None
    album: int | None = None
    photo: bool = False

    def as_json(self) -> dict[str, Any]:
        """Only the values that are set."""
        return {name: value for name, value in asdict(self).items() if value}


PLAIN = Marks()
