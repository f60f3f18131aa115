"""The embedded checkpoint behind a server that is up already, such as vLLM, beside this process.

Not a test of the suite: `python tests/on_vllm.py URL NAME` asks the demo suite of both, and prints
how many answers are equal and how fast the server gave them. docs/endpoints.md says how vLLM serves
the checkpoint on a CPU.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from vipbench.cli.printing import put
from vipbench.demo import embedded
from vipbench.run import loop
from vipbench.run.settings import RunSettings
from vipbench.runfolder.answers_file import read_responses
from vipbench.runfolder.folder import RESPONSES
from vipbench.runners.endpoint_options import EndpointOptions


def main() -> None:
    """Ask both, and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="base URL of the server")
    parser.add_argument("name", help="of the model, as the server calls it")
    parser.add_argument("--limit", type=int, default=25, help="samples of each task and style")
    parser.add_argument("--concurrency", type=int, default=32)
    given = parser.parse_args()
    common: dict[str, Any] = {
        "suite": "demo",
        "data": embedded.benchmark(),
        "limit": given.limit,
        "fit": "pad",
    }
    with tempfile.TemporaryDirectory() as scratch:
        here = {"model": str(embedded.CHECKPOINT), "dtype": "float32"}
        local = loop.run(
            RunSettings.model_validate(common | here | {"out": Path(scratch) / "local"})
        )
        endpoint = EndpointOptions(
            base_url=given.url,
            max_side=local.manifest.image_size,
            concurrency=given.concurrency,
        )
        there = {"runner": "openai", "model": given.name, "endpoint": endpoint}
        asked = loop.run(
            RunSettings.model_validate(common | there | {"out": Path(scratch) / "asked"})
        )
        expected = read_responses(local.path / RESPONSES)
        found = read_responses(asked.path / RESPONSES)
    equal = [name for name, line in found.items() if line.text == expected[name].text]
    times = asked.manifest.times
    put(f"{len(equal):,} of {len(found):,} answers are equal")
    put(f"{times.n_answered / times.generate:.0f} answers a second")
    for name, line in found.items():
        if name not in equal:
            put(f"{' '.join(name)}: {expected[name].text!r} here, {line.text!r} there")


if __name__ == "__main__":
    main()
