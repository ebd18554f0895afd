from django.apps import AppConfig


class MessagingConfig(AppConfig):
    name = "messaging"
    verbose_name = "Bus"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from messaging import subscribers, tasks  # noqa: F401 - they register themselves
        from messaging.person_data import BusPersonalData
        from privacy import registry as privacy

        privacy.register(1, BusPersonalData())
