from django.apps import AppConfig


class NotifierConfig(AppConfig):
    name = "notifier"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from messaging.observability import trace
        from notifier import events, subscribers, tasks  # noqa: F401 - their classes and decorators register themselves
        from notifier.person_data import NotifierPersonalData
        from notifier.trace import steps
        from privacy import registry as privacy

        trace.register_source(steps)
        privacy.register(2, NotifierPersonalData())
