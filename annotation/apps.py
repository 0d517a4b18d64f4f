from django.apps import AppConfig


class AnnotationConfig(AppConfig):
    name = "annotation"

    def ready(self) -> None:
        from annotation.importing.importjob import IMPORT
        from arbiter.core.jobkinds import register_job_kind

        register_job_kind(IMPORT)
