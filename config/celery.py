"""What Celery's workers start with: `celery -A config.celery worker`."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from arbiter.core.broker import app

app.autodiscover_tasks(["arbiter.core", "benchmark.collection", "judging.panel"])
