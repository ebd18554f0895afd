"""Stores uploaded suppression files until they are confirmed: encrypted, for one session, for an hour at most.

A draft is a separate row in Django's session store, and the operator's session contains its key, so other requests do
not load the draft. It is deleted when it is applied or cancelled; `messaging.retention` deletes expired ones.
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
    """An uploaded file. `encoding` and `separator` are "" until an operator chooses them."""

    name: str
    content: bytes
    encoding: str = ""
    separator: str = ""

    @property
    def token(self) -> str:
        """A digest of the content and of how it is read."""
        read_as = f"{self.encoding}\0{self.separator}\0".encode()
        return hashlib.sha256(read_as + self.content).hexdigest()


def keep(session: MutableMapping[str, Any], draft: ImportDraft) -> None:
    """Store the draft instead of the session's earlier one."""
    drop(session)
    store = _store(None)
    store["content"] = base64.b64encode(cipher().encrypt(zlib.compress(draft.content))).decode()
    store["read_as"] = [draft.name, draft.encoding, draft.separator]
    store.set_expiry(KEPT_SECONDS)
    store.save()
    session[_KEY] = store.session_key


def kept(session: MutableMapping[str, Any]) -> ImportDraft | None:
    """The draft of this session, or None if there is none any more."""
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
