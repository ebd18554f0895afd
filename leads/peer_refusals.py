"""Why a person cannot be written to, in sentences for the team that say what to do.

The names are Telegram's (the scope "person" of telegram/error_table.csv) or the adapter's (telegram/peers.py). Each
stays in its sentence, for who wants to look it up.
"""

_BY_HAND = "take the conversation over and write again"
_NOT_WANTED = "Leave them alone, unless they write first."

_SENTENCES = {
    "PERSON_UNKNOWN": "The account cannot address this person: it has never met them, it is not in a supergroup where "
    f"they wrote, and no username is on record. Let it enter the supergroup where they wrote, then {_BY_HAND}.",
    "NOT_A_PERSON": "The account behind this lead is a bot, deleted, or Telegram's own. Nothing can be done.",
    "USERNAME_NOT_A_PERSON": "The username leads to a chat or channel, not to a person. Nothing can be done.",
    "USERNAME_CHANGED_HANDS": "The username is somebody else's now, and the account cannot address the person by id. "
    f"Let it enter the supergroup where they wrote, then {_BY_HAND}.",
    "USERNAME_NOT_OCCUPIED": "Nobody has this username any more, and the person's id is not known. Wait until they are "
    "heard again.",
    "USERNAME_INVALID": "Telegram takes this for no username. Correct the program that published the lead.",
    "USER_ID_INVALID": "The account has never met this person. Let it enter the supergroup where they wrote, then "
    f"{_BY_HAND}.",
    "USER_PRIVACY_RESTRICTED": f"Their privacy settings do not let this account write to them. {_NOT_WANTED}",
    "PRIVACY_PREMIUM_REQUIRED": f"They take messages only from their contacts and Premium accounts. {_NOT_WANTED}",
    "USER_NOT_MUTUAL_CONTACT": f"They take messages only from their contacts. {_NOT_WANTED}",
    "USER_IS_BLOCKED": f"They have blocked the account. {_NOT_WANTED}",
    "YOU_BLOCKED_USER": "The account itself has blocked this person. If that was not meant, unblock them in Telegram's "
    f"app, then {_BY_HAND}.",
    "INPUT_USER_DEACTIVATED": "Their account was deleted. Nothing can be done.",
    "USER_IS_BOT": "This is a bot, and Telegram lets it get no such message. Nothing can be done.",
}


def refusal_text(reason: str) -> str:
    """`reason` as the delivery's error has it; what has no sentence stays as it is."""
    sentence = _SENTENCES.get(reason)
    return f"{sentence} ({reason})" if sentence is not None else reason
