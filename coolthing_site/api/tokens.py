"""API tokens: made from random bytes, shown once, stored as digests."""

import hashlib
import secrets
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q
from django.db.models.functions import Now
from django.views.decorators.debug import sensitive_variables
from rest_framework.authentication import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed

from coolthing_site.models import ApiToken

# Bytes of a key. A key of this length cannot be guessed, so its digest needs neither salt nor stretching.
KEY_BYTES = 32
# A token's last use is stored at most once in this time, however often a program sends requests.
USE_NOTED_EVERY = timedelta(minutes=1)


@sensitive_variables("key")
def digest_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


@sensitive_variables("key")
def token_issue(*, user: User, name: str) -> tuple[ApiToken, str]:
    """Create a token. Returns it and its key, which is not stored."""
    key = secrets.token_urlsafe(KEY_BYTES)
    return ApiToken.objects.create(user=user, name=name, digest=digest_of(key)), key


class ApiTokenAuthentication(TokenAuthentication):
    """Django REST framework's `Authorization: Token KEY`, with tokens that are found by the key's digest."""

    def authenticate_credentials(self, key: str) -> tuple[Any, Any]:
        token = ApiToken.objects.select_related("user").filter(digest=digest_of(key)).first()
        if token is None or not token.user.is_active:
            raise AuthenticationFailed("Invalid token.")
        _note_use(token)
        return token.user, token


def _note_use(token: ApiToken) -> None:
    unnoted = Q(last_used_at=None) | Q(last_used_at__lt=Now() - USE_NOTED_EVERY)
    ApiToken.objects.filter(unnoted, pk=token.pk).update(last_used_at=Now())
