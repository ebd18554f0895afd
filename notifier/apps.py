from django.apps import AppConfig


class NotifierConfig(AppConfig):
    name = "notifier"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from messaging.observability.trace import register_source
        from notifier import events, subscribers, tasks  # noqa: F401  (they register themselves)
        from notifier.person_data import NotifierPersonalData
        from notifier.trace import steps
        from privacy.registry import register

        register_source(steps)
        register(2, NotifierPersonalData())
