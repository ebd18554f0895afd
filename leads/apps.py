from django.apps import AppConfig


class LeadsConfig(AppConfig):
    name = "leads"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from bots import roles
        from bots.gate.origins import register_origin
        from bots.models import Role
        from campaigns.start_checks import register_check
        from campaigns.suppressions import registry as suppressions
        from leads import events, subscribers, tasks  # noqa: F401 - their classes and decorators register themselves
        from leads.origins import LeadsOrigin
        from leads.person_data import LeadsPersonalData
        from leads.roles import ManagerHandler
        from leads.selectors import managers_advice
        from leads.services import opt_out
        from leads.services.outgoing_messages import ORIGIN
        from leads.trace import steps
        from messaging.observability import trace
        from privacy import registry as privacy

        roles.register(Role.MANAGER, ManagerHandler())
        register_origin(ORIGIN, LeadsOrigin())
        register_check(managers_advice)
        suppressions.register_steps(
            lock=opt_out.lock_conversations, after=opt_out.end_conversations, concerned=opt_out.people_concerned
        )
        suppressions.register_finder(opt_out.people_last_seen)
        trace.register_source(steps)
        privacy.register(5, LeadsPersonalData())
