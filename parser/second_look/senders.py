"""The entries of a campaign's list of blocked senders: Telegram ids and @usernames in lower case."""

from collections.abc import Iterable

from campaigns.identifiers import is_person_id, is_username, plain_username


def senders_of(entries: Iterable[str]) -> list[str]:
    """The entries in the form in which they are stored, without repetitions. Raises ValueError with a wrong entry."""
    found = []
    for entry in entries:
        text = entry.strip()
        if is_person_id(text):
            found.append(str(int(text)))
        elif is_username(text.removeprefix("@")):
            found.append(f"@{plain_username(text)}")
        elif text:
            raise ValueError(text)
    return list(dict.fromkeys(found))
