"""The campaigns' doors to Celery."""

from celery import shared_task
from django.utils import timezone

from campaigns.expiry import permissions_tell_expiring


@shared_task(name="campaigns.tasks.tell_expiring", ignore_result=True)
def tell_expiring() -> None:
    permissions_tell_expiring(now=timezone.now())
