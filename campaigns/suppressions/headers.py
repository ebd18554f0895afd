"""Recognises the column headers of suppression files, in the languages of our teams."""

import unicodedata

ID, NAME, SOURCE, REASON = "telegram_user_id", "username", "source", "reason"
COLUMNS = (ID, NAME, SOURCE, REASON, "created_at")
# Case, accents, hyphens and underscores do not matter. Two kinds of words are left out on purpose: words for either an
# id or a username ("identifiant"), and words for a person's real name ("name").
WORDS: dict[str, tuple[str, ...]] = {
    ID: (
        "telegram id", "tg id", "user id", "id", "id telegram", "id пользователя", "телеграм id", "id телеграм", "айди",
        "ид", "ид пользователя", "id користувача", "ід", "ід користувача", "benutzer id", "nutzer id",
        "id utilisateur", "id de l'utilisateur", "id de usuario", "id usuario", "id do usuário", "id do utilizador",
        "id utente", "id użytkownika", "kullanıcı id", "kullanıcı kimliği",
    ),
    NAME: (
        "telegram username", "user name", "telegram", "nickname", "nick", "login", "handle", "имя пользователя",
        "юзернейм", "ник", "никнейм", "логин", "телеграм", "ім'я користувача", "нік", "нікнейм", "логін",
        "benutzername", "nutzername", "nom d'utilisateur", "pseudo", "nombre de usuario", "usuario", "nome de usuário",
        "nome de utilizador", "nome utente", "utente", "nazwa użytkownika", "kullanıcı adı",
    ),
    REASON: (
        "comment", "comments", "note", "notes", "remark", "причина", "комментарий", "примечание", "заметка", "коментар",
        "примітка", "нотатка", "grund", "kommentar", "bemerkung", "anmerkung", "notiz", "raison", "motif",
        "commentaire", "remarque", "motivo", "razón", "comentario", "nota", "observación", "razão", "comentário",
        "observação", "ragione", "commento", "powód", "przyczyna", "komentarz", "uwaga", "uwagi", "neden", "sebep",
        "yorum", "açıklama", "not",
    ),
}  # fmt: skip
_OTHER_LETTERS = str.maketrans({"ı": "i", "ł": "l", "’": "'", "ʼ": "'", "`": "'", "-": " ", "_": " "})


def _folded(text: str) -> str:
    """The text in a form that is the same for all spellings of a word."""
    parts = unicodedata.normalize("NFKD", text.casefold().translate(_OTHER_LETTERS))
    return " ".join("".join(part for part in parts if not unicodedata.combining(part)).split())


_MEANINGS = {_folded(name): name for name in COLUMNS} | {
    _folded(word): meaning for meaning, words in WORDS.items() for word in words
}


def meaning_of(header: str) -> str:
    """The column that a header stands for; "" if it is unknown."""
    return _MEANINGS.get(_folded(header), "")


def columns_of(headers: list[str]) -> list[tuple[str, str]]:
    """Each header with its column.

    Of several columns with reasons, those with the header "reason" are read, or else only the first.
    """
    found = [(header.strip(), meaning_of(header)) for header in headers]
    reasons = [place for place, (_, meaning) in enumerate(found) if meaning == REASON]
    named = [place for place in reasons if _folded(found[place][0]) == REASON]
    read = (named or reasons)[: max(1, len(named))]
    return [
        (header, "" if place in reasons and place not in read else name) for place, (header, name) in enumerate(found)
    ]
