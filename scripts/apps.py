from django.apps import AppConfig


class ScriptsConfig(AppConfig):
    name = "scripts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Imported for what they register: a bot role, a delivery's origin, subscriptions and tasks.
        from messaging.campaign_finding import register_finder
        from notifier import names
        from scripts import origins, roles, subscribers, tasks  # noqa: F401
        from scripts.selectors import campaign_of_sfc, script_of_sfc

        for field in ("script_for_campaign_id", "sfc_id"):
            register_finder(field, campaign_of_sfc)
        names.register("sfc_id", script_of_sfc)
