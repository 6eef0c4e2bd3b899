"""Fresh interpreters, which know nothing of what the tests have loaded."""

import os
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


def run_sevis(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of sevis as a user does, with these environment variables."""
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "PASSIVE", **environment}
    command = [sys.executable, "-m", "sevis", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=settings, cwd=ROOT)
