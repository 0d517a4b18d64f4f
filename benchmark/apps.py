from typing import Any

from django.apps import AppConfig
from django.db.backends.signals import connection_created

PREFER_LZ4 = """
    SELECT set_config(name, 'lz4', false) FROM pg_settings
    WHERE name = 'default_toast_compression' AND 'lz4' = ANY(enumvals)
"""


class BenchmarkConfig(AppConfig):
    name = "benchmark"

    def ready(self) -> None:
        connection_created.connect(prefer_lz4)


def prefer_lz4(connection: Any, **_: Any) -> None:
    """Most of what is stored is long text, which PostgreSQL packs several times faster so, where it was built with it."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(PREFER_LZ4)
