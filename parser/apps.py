from django.apps import AppConfig


class ParserConfig(AppConfig):
    name = "parser"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from bots import roles
        from bots.models import Role
        from campaigns.start_checks import register_check
        from campaigns.suppressions import registry as suppressions
        from messaging.observability import trace
        from parser import events, tasks  # noqa: F401 - they register themselves
        from parser.lab.backtests import BacktestReader
        from parser.person_data import ParserPersonalData
        from parser.roles import ParserHandler
        from parser.selectors import parsers_advice
        from parser.services import people_last_seen
        from parser.trace import steps
        from privacy import registry as privacy

        roles.register(Role.PARSER, ParserHandler())
        roles.register_past_reader(BacktestReader())
        register_check(parsers_advice)
        suppressions.register_finder(people_last_seen)
        trace.register_source(steps)
        privacy.register(4, ParserPersonalData())
