from django.apps import AppConfig


class ScriptsConfig(AppConfig):
    name = "scripts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from bots import roles
        from bots.gate.origins import register_origin
        from bots.models import Role
        from messaging import event_objects
        from scripts import events, subscribers, tasks  # noqa: F401 - their classes and decorators register themselves
        from scripts.origins import StepOrigin
        from scripts.roles import ActorHandler
        from scripts.selectors import campaign_of_assignment, script_names
        from scripts.services import ORIGIN

        roles.register(Role.ACTOR, ActorHandler())
        register_origin(ORIGIN, StepOrigin())
        event_objects.register(
            "script_for_campaign_id", "sfc_id", names=script_names, campaign_of=campaign_of_assignment
        )
