from django.apps import AppConfig


class BotsConfig(AppConfig):
    name = "bots"
    verbose_name = "Accounts & deliveries"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from bots import celery_worker, events, tasks  # noqa: F401 - they register themselves
        from bots.models import Bot
        from bots.person_data import BotsPersonalData
        from bots.selectors import bot_names
        from campaigns.budgets import KeyNames, register_scope
        from campaigns.models import Budget
        from messaging import event_objects
        from privacy import registry as privacy

        register_scope(Budget.Scope.BOT, KeyNames(Bot, "key"))
        event_objects.register("worker_id", names=bot_names)
        privacy.register(3, BotsPersonalData())
