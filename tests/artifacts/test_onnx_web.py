"""The files in the runtime of browsers and edge functions: the same numbers as in Python."""

import json
import subprocess
from pathlib import Path

import pytest

from artifacts.conftest import VERSION
from artifacts.programs import HERE

NAMES = {f"two_tower_{VERSION}.onnx", "user_tower.onnx", "item_tower.onnx"}


@pytest.mark.parametrize("program", ["node", "deno"])
def test_onnxruntime_web_computes_the_worked_examples(
    program: str, node_modules: Path, released: tuple[object, Path], tmp_path: Path
) -> None:
    module = node_modules / "onnxruntime-web" / "dist" / "ort.node.min.mjs"
    command = ["node"] if program == "node" else [str(node_modules / ".bin" / "deno"), "run", "--allow-all"]
    folder = released[1] / "two_tower" / VERSION
    done = subprocess.run(
        [*command, str(HERE / "run_example.mjs"), str(module), str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    differences = json.loads(done.stdout)
    assert differences.keys() == NAMES
    assert max(differences.values()) < 1e-5
