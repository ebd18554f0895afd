"""Limits failed logins, with django-axes.

Failures are counted for each pair of account and address, so failures from other addresses do not lock out the owner of
an account. A second, higher limit counts all failures of an address, so that a client cannot try a password on every
account. Both locks end by themselves. Against attacks from many addresses only long passwords help: with a limit for
the account alone, any client could lock out its owner.
"""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from axes.attempts import get_cool_off_threshold
from axes.handlers.database import AxesDatabaseHandler
from axes.handlers.proxy import AxesProxyHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.db.models import Max, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from coolthing_site.web.error_pages import error_page

Credentials = dict[str, Any] | None


class LoginLimits(AxesDatabaseHandler):
    """The handler in the setting AXES_HANDLER."""

    def is_locked(self, request: HttpRequest, credentials: Credentials = None) -> bool:
        return bool(self.locking(request, credentials))

    def locking(self, request: HttpRequest, credentials: Credentials) -> list["QuerySet[AccessAttempt]"]:
        """The failed logins that lock this account for this address, or all accounts for this address."""
        limits = [(failures, settings.AXES_FAILURE_LIMIT) for failures in self.get_user_attempts(request, credentials)]
        address = getattr(request, "axes_ip_address", None)
        if address is not None:
            recent = AccessAttempt.objects.filter(ip_address=address, attempt_time__gte=get_cool_off_threshold(request))
            limits.append((recent, settings.LOGIN_FAILURES_OF_ADDRESS))
        return [failures for failures, limit in limits if _count(failures) >= limit]

    def clean_expired_user_attempts(self, request: HttpRequest | None = None, credentials: Credentials = None) -> int:
        """Delete this account's failures from this address only. The panel shows the others until beat prunes them."""
        threshold = get_cool_off_threshold(request)
        expired = [
            attempts.filter(attempt_time__lte=threshold) for attempts in self.filter_user_attempts(request, credentials)
        ]
        return sum(failures.delete()[0] for failures in expired)


def _count(failures: "QuerySet[AccessAttempt]") -> int:
    return failures.aggregate(count=Sum("failures_since_start"))["count"] or 0


def locked_out(request: HttpRequest, _response: HttpResponse | None, credentials: Credentials) -> HttpResponse:
    """The page of AXES_LOCKOUT_CALLABLE. It is the same for accounts that do not exist."""
    left = max(1, round((_locked_until(request, credentials) - timezone.now()).total_seconds()))
    until = timezone.now() + timedelta(seconds=left)
    minutes = -(-left // 60)
    return error_page(
        request,
        429,
        "Too many failed logins",
        f"Logins to this account from your address are refused until {until:%H:%M:%S} UTC: try again in "
        f"{minutes} minute{'s' if minutes > 1 else ''}.",
        "Are you locked out by mistake? An administrator can unlock you at once: under Failed logins in the panel, or "
        "with manage.py unlock_login.",
        ways=[("Back to the login", _login_url(request))],
        retry_after=left,
    )


def _login_url(request: HttpRequest) -> str:
    """The login's address, with the page to open after the login. The login checks that page's address."""
    wanted = request.POST.get("next") or request.GET.get("next")
    return f"{reverse('admin:login')}?{urlencode({'next': wanted})}" if wanted else reverse("admin:login")


def _locked_until(request: HttpRequest, credentials: Credentials) -> datetime:
    locking = LoginLimits().locking(request, credentials)
    newest = [failures.aggregate(newest=Max("attempt_time"))["newest"] for failures in locking]
    # They were deleted if an administrator has unlocked them a moment ago.
    return max((time + settings.AXES_COOLOFF_TIME for time in newest if time), default=timezone.now())


def unlock(*, username: str = "", address: str = "") -> int:
    """Delete the failed logins to this account, from this address, or, with both, to the account from the address.

    Returns the number of deleted rows. Without an account and an address it deletes nothing.
    """
    if not (username or address):
        return 0
    return int(AxesProxyHandler.reset_attempts(username=username or None, ip_address=address or None))
