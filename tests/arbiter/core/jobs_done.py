"""Jobs as a worker left them."""

from typing import Any

from django.utils import timezone

from arbiter.core.jobfiles import data_folder_id, jobs_folder
from arbiter.core.models import Job


def done_job(study: int, name: str = "tiny.jsonl", text: str = "{}\n", **fields: Any) -> Job:
    """Make a job that is done, with its file."""
    fields = {
        "kind": "export",
        "arguments": {"extension": "jsonl"},
        "result": {"rows": 1, "bytes": 3},
        **fields,
    }
    job = Job.objects.create(
        study=study, state="done", attempts=1, place=data_folder_id(), finished_at=timezone.now(), **fields
    )
    folder = jobs_folder() / f"{job.pk}-{'0' * 12}"
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / name).write_text(text)
    Job.objects.filter(pk=job.pk).update(file=f"{folder.name}/{name}")
    return Job.objects.get(pk=job.pk)
