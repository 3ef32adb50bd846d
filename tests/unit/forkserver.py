"""Commands in processes of their own, each forked from one that has imported what they take seconds to import."""

from __future__ import annotations

import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import genwerk

COMMAND = "from genwerk.cli import main; main()"
SERVER = """
import json, os, sys, traceback
import matplotlib.backends.backend_agg, matplotlib.figure, torch._dynamo
import genwerk.cli, genwerk.cli.training, genwerk.recipes, genwerk.runs.training, genwerk.testing.contract
for line in sys.stdin:
    folder, code, sys.argv, *files = json.loads(line)
    child = os.fork()
    if not child:
        for descriptor, path in enumerate([os.devnull, *files]):
            os.dup2(os.open(path, os.O_RDWR), descriptor)
        os.chdir(folder)
        sys.path.insert(0, folder)
        status = 0
        try:
            exec(code, {"__name__": "__main__"})
        except SystemExit as end:
            status = end.code or 0
        except BaseException:
            traceback.print_exc()
            status = 1
        sys.stdout.flush()
        os._exit(status)  # taking apart what was imported takes as long as many a command
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@functools.cache
def server() -> subprocess.Popen[str]:
    """The process that is forked; it ends when its input does, with this process."""
    env = os.environ | {"PYTHONPATH": str(Path(genwerk.__file__).parents[1])}
    command = [sys.executable, "-c", SERVER]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
    atexit.register(process.communicate)
    return process


def run(folder: Path, *words: str, code: str = COMMAND) -> subprocess.CompletedProcess[str]:
    """What ``python -c code words`` does and prints in ``folder``, where modules are looked for, too."""
    process = server()
    assert process.stdin is not None
    assert process.stdout is not None
    with tempfile.NamedTemporaryFile("r") as out, tempfile.NamedTemporaryFile("r") as err:
        process.stdin.write(json.dumps([str(folder), code, ["-c", *words], out.name, err.name]) + "\n")
        process.stdin.flush()
        status = int(process.stdout.readline())
        return subprocess.CompletedProcess(words, status, out.read(), err.read())
