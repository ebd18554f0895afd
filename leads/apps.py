from django.apps import AppConfig


class LeadsConfig(AppConfig):
    name = "leads"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from leads import origins, roles, subscribers, tasks  # noqa: F401  (they register themselves)
        from leads.trace import steps
        from messaging.trace import register_source

        register_source(steps)
