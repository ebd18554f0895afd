"""The site. The Celery app is imported with Django, so that `current_app` is ours in every process."""

from coolthing_site.celery import app as celery_app

__all__ = ("celery_app",)
