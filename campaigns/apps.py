from django.apps import AppConfig


class CampaignsConfig(AppConfig):
    name = "campaigns"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from campaigns import tasks  # noqa: F401  They register themselves with Celery.
        from campaigns.fences import erasing_hold
        from campaigns.person_data import CampaignsRoom, about_erased
        from campaigns.selectors import campaign_names
        from messaging.campaign_finding import register_names
        from messaging.persons import register, register_guard

        register_names(campaign_names)
        # Last: with it goes who the person was.
        register(7, CampaignsRoom())
        register_guard(about_erased, hold=erasing_hold)
