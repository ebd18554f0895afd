"""What is asked about notifications."""

from django.db.models import Q
from django.db.models.functions import Now

from notifier.models import Notification


def collecting() -> Q:
    """Those that are to go out later, with all of their kind that comes until then: nothing is wrong with them."""
    return Q(state=Notification.State.QUEUED, attempts=0, bundle_at__gt=Now())
