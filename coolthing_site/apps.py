from django.apps import AppConfig


class CoolthingSiteConfig(AppConfig):
    name = "coolthing_site"
    verbose_name = "Site"

    def ready(self) -> None:
        from coolthing_site import checks  # noqa: F401  The module registers the checks.
        from coolthing_site.person_data import PanelPersonalData
        from privacy import registry as privacy

        privacy.register(6, PanelPersonalData())
