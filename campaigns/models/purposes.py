"""The purposes of messages."""

from django.db import models


class Purpose(models.TextChoices):
    """What a message is for. Permissions and budgets apply to a purpose."""

    SCRIPT = "script"
    FIRST_CONTACT = "first_contact"
    REPLY = "reply"
    OPERATOR = "operator"
