"""Static files as production names them."""

import os
import re
import secrets
import subprocess
import sys

from arbiter.core.folders import ROOT


def test_a_module_imports_the_others_by_the_names_of_their_content(tmp_path):
    production = {
        "ARBITER_ENV": "production",
        "SECRET_KEY": secrets.token_urlsafe(60),
        "ARBITER_ALLOWED_HOSTS": "here",
        "ARBITER_DATA": str(tmp_path),
    }
    command = [sys.executable, "manage.py", "collectstatic", "--noinput"]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **production}, check=True, capture_output=True)
    modules = list((tmp_path / "static" / "web" / "label").glob("*.????????????.js"))
    imported = [name for module in modules for name in imports(module.read_text())]
    assert "main" in {module.name.split(".")[0] for module in modules}
    assert imported and all(re.fullmatch(r"\w+\.[0-9a-f]{12}\.js", name) for name in imported)
    assert all((modules[0].parent / name).exists() for name in imported)


def imports(module):
    """Return the modules that a browser loads with this one; not those that its
    comments name for their types.
    """
    return re.findall(r'^(?:import .*|\} )from "\./([^"]+)"', module, re.MULTILINE)
