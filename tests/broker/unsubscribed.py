"""A Celery app in which the task of a subscription is missing."""

from coolthing_site.celery import app as app
from messaging.broker import topology

topology.SUBSCRIPTIONS[topology.LLM_QUEUE] = "nobody.has_this"
