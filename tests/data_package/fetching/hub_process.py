"""Programs that talk to a hub on loopback, each in a process of its own.

The hub's library reads its settings when it is imported, and that takes a second: so one process
imports it, and forks for every program.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.servers import Server

REPO = Path(__file__).parent.parent.parent.parent
TOKEN = "hf_secret"
FORKING = """
import json, os, sys, traceback
import vipbench.cli, vipbench.data.fetching.fetch, vipbench.data.fetching.hub

for line in sys.stdin:
    job = json.loads(line)
    child = os.fork()
    if not child:
        os.chdir(job["cwd"])
        for number, path in ((1, job["out"]), (2, job["err"])):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.argv = ["-c", *job["arguments"]]
        code = 0
        try:
            exec(job["program"], {"__name__": "__main__"})
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        """The last line of stderr."""
        return (self.err.splitlines() or [""])[-1]


class HubProcess:
    """Runs programs in which `huggingface_hub` finds a server on loopback."""

    def __init__(self, server: Server, folder: Path, **more: str) -> None:
        """Start the process; `more` are variables of its environment."""
        environment = {
            "HF_ENDPOINT": server.url,
            "HF_HUB_OFFLINE": "0",
            "HF_TOKEN": TOKEN,
            "HF_HOME": str(folder / "hf"),
            "NO_PROXY": "127.0.0.1",
            "PYTHONPATH": str(REPO),
        }
        self.server = server
        self._process = subprocess.Popen(
            [sys.executable, "-c", FORKING],
            env=os.environ | environment | more,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, program: str, *arguments: str, cwd: Path) -> Ran:
        """Run a program to its end; nothing that it writes may hold the token."""
        out, err = cwd / ".hub.out", cwd / ".hub.err"
        job = {
            "program": program,
            "arguments": arguments,
            "cwd": str(cwd),
            "out": str(out),
            "err": str(err),
        }
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        ran = Ran(code, out.read_text(), err.read_text())
        assert TOKEN not in ran.out + ran.err
        return ran

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=30)
