from django.apps import AppConfig


class ScriptsConfig(AppConfig):
    name = "scripts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Imported for what they register: a bot role, a delivery's origin, subscriptions and tasks.
        from scripts import origins, roles, subscribers, tasks  # noqa: F401
