"""Texts that fit into what a service takes. Pure, free of Django."""


def shortened(text: str, most: int) -> str:
    """At most so many characters: cut between words, and seen to be."""
    if len(text) <= most:
        return text
    head = text[: max(0, most - 2)]
    return f"{head.rpartition(' ')[0] or head} …"[: max(0, most)]


def fitted(text: str, link: str, most: int) -> str:
    """The text and the link in the line below it, in at most so many characters. The link is never cut: it is left out
    where it would not fit."""
    if not link:
        return shortened(text, most)
    room = most - len(link) - 1
    return f"{shortened(text, room)}\n{link}" if room > 2 else shortened(text, most)
