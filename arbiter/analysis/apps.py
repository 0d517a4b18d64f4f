from django.apps import AppConfig


class AnalysisConfig(AppConfig):
    name = "arbiter.analysis"

    def ready(self) -> None:
        from arbiter.analysis.reportjob import REPORT
        from arbiter.core.jobkinds import register_job_kind

        register_job_kind(REPORT)
