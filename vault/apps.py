from django.apps import AppConfig
from django.db.models.signals import post_migrate


class VaultConfig(AppConfig):
    name = "vault"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from vault import checks  # noqa: F401 - registers itself

        post_migrate.connect(_remember_key, sender=self)


def _remember_key(**_: object) -> None:
    """Record the key in use after the first migration, before it encrypts anything."""
    from vault.keyring import key_remember

    key_remember()
