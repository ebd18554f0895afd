"""Keeps uploaded suppression files until they are confirmed: encrypted, by session, for at most an hour.

A draft is a row of its own in Django's session store, and the operator's session holds its key: so other requests do
not load it. It is deleted when it is applied or given up; `messaging.retention` deletes expired ones.
"""

import base64
import hashlib
import zlib
from collections.abc import MutableMapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from cryptography.fernet import InvalidToken
from django.conf import settings

from vault.keys import cipher

KEPT_SECONDS = 3600
_KEY = "suppressions_import"


@dataclass(frozen=True)
class ImportDraft:
    """`encoding` and `separator` are empty until an operator chooses them."""

    name: str
    content: bytes
    encoding: str = ""
    separator: str = ""

    @property
    def token(self) -> str:
        """Identifies this content and the way it is read."""
        read_as = f"{self.encoding}\0{self.separator}\0".encode()
        return hashlib.sha256(read_as + self.content).hexdigest()


def keep(session: MutableMapping[str, Any], draft: ImportDraft) -> None:
    """Replaces the session's earlier draft."""
    drop(session)
    store = _store(None)
    store["content"] = base64.b64encode(cipher().encrypt(zlib.compress(draft.content))).decode()
    store["read_as"] = [draft.name, draft.encoding, draft.separator]
    store.set_expiry(KEPT_SECONDS)
    store.save()
    session[_KEY] = store.session_key


def kept(session: MutableMapping[str, Any]) -> ImportDraft | None:
    """The draft of this session; None when there is none any more."""
    store = _store(session.get(_KEY))
    if _KEY not in session or "content" not in store:
        return None
    try:
        content = zlib.decompress(cipher().decrypt(base64.b64decode(store["content"])))
    except InvalidToken:
        return None
    return ImportDraft(store["read_as"][0], content, *store["read_as"][1:])


def drop(session: MutableMapping[str, Any]) -> None:
    if (key := session.pop(_KEY, None)) is not None:
        _store(key).delete()


def _store(key: str | None) -> Any:
    return import_module(settings.SESSION_ENGINE).SessionStore(key)
