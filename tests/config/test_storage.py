"""Static files as production names them."""

import os
import re
import secrets
import subprocess
import sys

from django.conf import settings


def test_a_module_imports_the_others_by_the_names_of_their_content(tmp_path):
    production = {
        "ARBITER_ENV": "production", "SECRET_KEY": secrets.token_urlsafe(60), "ARBITER_ALLOWED_HOSTS": "here",
        "ARBITER_DATA": str(tmp_path),
    }  # fmt: skip
    command = [sys.executable, "manage.py", "collectstatic", "--noinput"]
    subprocess.run(
        command, cwd=settings.ROOT, env={**os.environ, **production}, check=True, capture_output=True
    )
    [main] = (tmp_path / "static" / "label").glob("main.????????????.js")
    imported = re.findall(r'from "\./([^"]+)"', main.read_text())
    assert imported and all(re.fullmatch(r"\w+\.[0-9a-f]{12}\.js", name) for name in imported)
    assert all((main.parent / name).exists() for name in imported)
