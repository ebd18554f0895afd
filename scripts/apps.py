from django.apps import AppConfig


class ScriptsConfig(AppConfig):
    name = "scripts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Imported for what they register: a bot role, a delivery's origin, subscriptions and tasks.
        from messaging import event_objects
        from scripts import origins, roles, subscribers, tasks  # noqa: F401
        from scripts.selectors import campaign_of_sfc, script_names

        event_objects.register("script_for_campaign_id", "sfc_id", names=script_names, campaign_of=campaign_of_sfc)
