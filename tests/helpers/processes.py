"""Fresh interpreters, which know nothing of what the tests have loaded."""

import subprocess
import sys

from tests.helpers.paths import ROOT

HEAVY = ("torch", "torchvision", "timm", "streamlit", "sklearn")


def loaded_by(program: str) -> set[str]:
    """Return those of the heavy libraries that a fresh interpreter has loaded after a program."""
    program += f"\nimport sys\nprint('loaded', *({set(HEAVY)} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()[1:])
