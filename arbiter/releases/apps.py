from django.apps import AppConfig


class ReleasesConfig(AppConfig):
    name = "arbiter.releases"

    def ready(self) -> None:
        from arbiter.core.jobkinds import register_job_kind
        from arbiter.releases.exportjob import EXPORT

        register_job_kind(EXPORT)
