from django.apps import AppConfig
from django.db.models.signals import post_migrate


class CoreConfig(AppConfig):
    name = "arbiter.core"

    def ready(self) -> None:
        from arbiter.core.guards import install_after_migrate

        post_migrate.connect(install_after_migrate, sender=self)
