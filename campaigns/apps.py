from django.apps import AppConfig
from django.db.models import CharField
from django.db.models.functions import Lower, Upper


class CampaignsConfig(AppConfig):
    name = "campaigns"
    verbose_name = "Campaigns & chats"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # `username__lower`, for `campaigns.identifiers.named`; `__upper` is for the deliveries.
        CharField.register_lookup(Lower)
        CharField.register_lookup(Upper)
        from campaigns import tasks  # noqa: F401 - they register themselves with Celery
        from campaigns.person_data import CampaignsPersonalData, about_erased
        from campaigns.policy.locks import erasures_lock_shared
        from campaigns.selectors import campaign_names
        from messaging import event_objects
        from privacy import registry as privacy
        from privacy.erased import register_guard

        event_objects.register(event_objects.CAMPAIGN_FIELD, names=campaign_names)
        # The last turn: the suppression knows the person's id and username until then.
        privacy.register(7, CampaignsPersonalData())
        register_guard(about_erased, lock=erasures_lock_shared)
