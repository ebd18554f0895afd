from django.apps import AppConfig


class BotsConfig(AppConfig):
    name = "bots"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from bots import (
            celery_worker,  # noqa: F401  They register themselves with Celery.
            tasks,  # noqa: F401  They register themselves with Celery.
        )
        from bots.models import Bot
        from bots.person_data import BotsPersonalData
        from bots.selectors import bot_names
        from campaigns.budgets import KeyNames, register_scope
        from campaigns.models import Budget
        from messaging import event_objects
        from privacy.registry import register

        register(3, BotsPersonalData())
        register_scope(Budget.Scope.BOT, KeyNames(Bot, "key"))
        event_objects.register("worker_id", names=bot_names)
