from django.apps import AppConfig


class LeadsConfig(AppConfig):
    name = "leads"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from leads import origins, roles, subscribers, tasks  # noqa: F401  (they register themselves)
        from leads.person_data import LeadsRoom
        from leads.trace import steps
        from messaging.persons import register
        from messaging.trace import register_source

        register_source(steps)
        register(5, LeadsRoom())
