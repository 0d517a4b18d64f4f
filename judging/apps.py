from django.apps import AppConfig


class JudgingConfig(AppConfig):
    name = "judging"

    def ready(self) -> None:
        from arbiter.core.jobkinds import register_job_kind
        from judging.settlement.settlejob import SETTLE

        register_job_kind(SETTLE)
