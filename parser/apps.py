from django.apps import AppConfig


class ParserConfig(AppConfig):
    name = "parser"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from campaigns.start_checks import register_check
        from messaging.observability.trace import register_source
        from parser import events, roles  # noqa: F401  (they register themselves)
        from parser.person_data import ParserPersonalData
        from parser.selectors import parsers_told
        from parser.trace import steps
        from privacy.registry import register

        register_source(steps)
        register(4, ParserPersonalData())
        register_check(parsers_told)
