"""The program `arbiter`: every command of Arbiter's and of Django's, as `manage.py` of a checkout."""

import os
import sys


def main() -> None:
    """Run the command that the terminal names."""
    os.umask(0o077)  # what commands write, exports too, is their user's own
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
