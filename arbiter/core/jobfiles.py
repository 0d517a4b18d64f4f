"""The files that jobs make: in the data folder, for its user alone, each attempt's in a folder of its own.

A file that lies on one machine can't be sent from another, so each data folder has an id. A job that makes a
file is run only where the data folder is the one it was asked from.
"""

import shutil
import uuid
from pathlib import Path

from django.conf import settings

from arbiter.core.models import Job
from arbiter.core.privatefiles import made_once

ID = "folder-id"


def jobs_folder() -> Path:
    folder: Path = settings.DATA / "jobs"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def data_folder_id() -> str:
    """Return the data folder's id, made when it is first asked for."""
    return made_once(jobs_folder() / ID, lambda: uuid.uuid4().hex)


def attempt_folder(job: Job, lease: str) -> Path:
    """Return where an attempt's file goes.

    No two attempts share a folder, not even where a worker goes on whose lease ran out.
    """
    return jobs_folder() / f"{job.pk}-{lease[:12]}"


def make_attempt_folder(job: Job, folder: Path) -> None:
    """Make an attempt's folder, and remove what attempts before it left half-written."""
    for older in jobs_folder().glob(f"{job.pk}-*"):
        remove_unless_kept(
            older
        )  # by the row as it is now: another may have done the job since we claimed it
    folder.mkdir(mode=0o700)


def file_left_in(folder: Path) -> str:
    """Return the file that an attempt left, as a job keeps it; empty where there is none."""
    for path in folder.iterdir():
        path.chmod(0o600)
        return f"{folder.name}/{path.name}"
    return ""


def job_file(job: Job) -> Path | None:
    """Return where the job's file is; None where it has none, or it is not on this machine."""
    path = jobs_folder() / job.file
    return path if job.file and job.place == data_folder_id() and path.is_file() else None


def remove_old_jobs() -> None:
    """Remove jobs that were over long ago, and the folders of jobs that are gone or of attempts cut off."""
    Job.objects.over_for(86_400 * settings.JOB_DAYS).delete()
    # Listed before the rows are read: a folder comes after its lease.
    folders = [path for path in jobs_folder().iterdir() if path.is_dir()]
    for folder in folders:
        remove_unless_kept(folder)


def remove_unless_kept(folder: Path) -> None:
    """Remove an attempt's folder unless its job is being worked on there or has its file in it."""
    number = folder.name.partition("-")[0]
    job = Job.objects.filter(pk=int(number)).first() if number.isdecimal() else None
    if job is None or not _keeps(job, folder):
        _remove(folder)


def _keeps(job: Job, folder: Path) -> bool:
    if job.state == Job.State.LEASED:
        return folder == attempt_folder(job, job.lease)
    return job.file.startswith(f"{folder.name}/")


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
