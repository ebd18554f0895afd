from django.apps import AppConfig


class LeadsConfig(AppConfig):
    name = "leads"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from campaigns.start_checks import register_check
        from leads import origins, roles, subscribers, tasks  # noqa: F401  (they register themselves)
        from leads.person_data import LeadsPersonalData
        from leads.selectors import managers_told
        from leads.trace import steps
        from messaging.observability.trace import register_source
        from privacy.registry import register

        register_source(steps)
        register(5, LeadsPersonalData())
        register_check(managers_told)
