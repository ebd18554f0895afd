from django.apps import AppConfig


class ParserConfig(AppConfig):
    name = "parser"
    default_auto_field = "django.db.models.BigAutoField"
