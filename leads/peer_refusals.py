"""Explains to operators why an account cannot write to a person, and what they can do.

The errors are Telegram's (those with the scope "person" in telegram/error_table.csv) or the adapter's
(telegram/peers.py).
"""

_BY_HAND = "take the conversation over and send the message again"
_NOT_WANTED = "Do not contact the person unless the person writes first."
_ENTER_CHAT = f"Add the account to the chat in which the person wrote; then {_BY_HAND}."

_SENTENCES = {
    "PERSON_UNKNOWN": "The account cannot reach this person: they have no chat in common, and the person's "
    f"username is not known. {_ENTER_CHAT}",
    "NOT_A_PERSON": "This lead is a bot, a deleted account or an account of Telegram itself. Nothing can be done.",
    "USERNAME_NOT_A_PERSON": "The username belongs to a chat or channel, not to a person. Nothing can be done.",
    "USERNAME_CHANGED_HANDS": "The username belongs to another person now, and the account cannot reach the "
    f"person by id. {_ENTER_CHAT}",
    "USERNAME_NOT_OCCUPIED": "Nobody has this username any more, and the person's id is not known. Wait until the "
    "person writes again in a watched chat.",
    "USERNAME_INVALID": "Telegram does not accept this username. Correct the program that published the lead.",
    "USER_ID_INVALID": f"The account has never been in a chat with this person. {_ENTER_CHAT}",
    "USER_PRIVACY_RESTRICTED": f"The person's privacy settings do not allow messages from this account. {_NOT_WANTED}",
    "PRIVACY_PREMIUM_REQUIRED": f"The person accepts messages only from contacts and Premium accounts. {_NOT_WANTED}",
    "USER_NOT_MUTUAL_CONTACT": f"The person accepts messages only from contacts. {_NOT_WANTED}",
    "USER_IS_BLOCKED": f"The person has blocked the account. {_NOT_WANTED}",
    "YOU_BLOCKED_USER": "The account has blocked this person. If this was a mistake, unblock the person in Telegram's "
    f"app; then {_BY_HAND}.",
    "INPUT_USER_DEACTIVATED": "The person's Telegram account was deleted. Nothing can be done.",
    "USER_IS_BOT": "This is a bot, and Telegram does not let the account write to it. Nothing can be done.",
}


def refusal_text(reason: str) -> str:
    """Explain a delivery's error and append its name. An error without an explanation is returned unchanged."""
    sentence = _SENTENCES.get(reason)
    return f"{sentence} ({reason})" if sentence is not None else reason
