from django.apps import AppConfig


class CoolthingSiteConfig(AppConfig):
    name = "coolthing_site"
