"""Import what takes long and reads no settings, once for all programs that tests/processes.py starts."""

import contextlib
import importlib

MODULES = (
    "asyncio",
    "celery",
    "django.contrib.humanize.templatetags.humanize",
    "django.core.management",
    "django.db.backends.postgresql.base",
    "django.db.backends.sqlite3.base",
    "django.db.migrations.executor",
    "django.db.models",
    "django.forms",
    "django.template.loader",
    "django.test",
    "django.views.generic",
    "httpx2",
    "kombu.transport.redis",
    "numpy",
    "openai",
    "openai.resources.chat.completions",
    "psycopg",
    "pydantic",
    "yaml",
)
for module in MODULES:
    with contextlib.suppress(ImportError):  # a test of what is missing says so by itself
        importlib.import_module(module)
