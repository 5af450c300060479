"""Load time and latency per user of user_tower.onnx: onnxruntime, and onnxruntime-web in Node and Deno.

    python tests/benchmarks/artifacts_latency.py

256 dimensions, 5 aggregates; one user, 20 and 100 likes, 20 dislikes; median of 300 runs on one thread.
Node and Deno come from npm into .pytest_cache (as the tests' do).
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime

from trainer.export import save
from trainer.user_graph import user_graph

REPOSITORY = Path(__file__).resolve().parents[2]
DIMENSION, N_AGGREGATES, N_DISLIKES, RUNS = 256, 5, 20, 300

SCRIPT = """
import fs from "node:fs";
import { pathToFileURL } from "node:url";
const [module, file] = process.argv.slice(2);
const began = performance.now();
const ort = await import(pathToFileURL(module));
ort.env.wasm.numThreads = 1;
const imported = performance.now();
const session = await ort.InferenceSession.create(fs.readFileSync(file), { executionProviders: ["wasm"] });
const loaded = performance.now();
const tensor = (...shape) =>
  new ort.Tensor("float32", Float32Array.from({ length: shape.reduce((a, b) => a * b) }, Math.random), shape);
const said = [`import ${(imported - began).toFixed(0)} ms, session ${(loaded - imported).toFixed(0)} ms`];
for (const likes of [20, 100]) {
  const feeds = {
    likes: tensor(1, likes, 256), like_weights: tensor(1, likes),
    dislikes: tensor(1, 20, 256), dislike_weights: tensor(1, 20), aggregates: tensor(1, 5),
  };
  const times = [];
  for (let k = 0; k < 300; k++) {
    const start = performance.now();
    await session.run(feeds);
    times.push(performance.now() - start);
  }
  said.push(`${likes} likes ${times.sort((a, b) => a - b)[150].toFixed(2)} ms`);
}
console.log(said.join(", "));
"""


def main() -> None:
    sys.path.insert(0, str(REPOSITORY / "tests"))
    from artifacts.programs import npm_install

    modules = npm_install(REPOSITORY / ".pytest_cache" / "d" / "npm")
    web = str(modules / "onnxruntime-web" / "dist" / "ort.node.min.mjs")
    with tempfile.TemporaryDirectory() as folder:
        script = modules.parent / "latency.mjs"  # Deno resolves packages from where the script lies
        script.write_text(SCRIPT)
        for hidden in (0, 256):
            path = Path(folder) / "user_tower.onnx"
            save(user_graph(_rows(hidden), DIMENSION, N_AGGREGATES, 0.5), path, {})
            print(f"{hidden} hidden units, {path.stat().st_size / 1e6:.2f} MB")
            print(f"  onnxruntime {onnxruntime.__version__}: {_python(path)}")
            for name, command in (
                ("node", ["node"]),
                ("deno", [str(modules / ".bin" / "deno"), "run", "--allow-all"]),
            ):
                done = subprocess.run(
                    [*command, str(script), web, str(path)], capture_output=True, text=True, check=True
                )
                print(f"  onnxruntime-web in {name}: {done.stdout.strip()}")


def _python(path: Path) -> str:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    began = time.perf_counter()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    said = [f"session {1000 * (time.perf_counter() - began):.0f} ms"]
    rng = np.random.default_rng(0)
    for likes in (20, 100):
        shapes = {
            "likes": (1, likes, DIMENSION),
            "like_weights": (1, likes),
            "dislikes": (1, N_DISLIKES, DIMENSION),
            "dislike_weights": (1, N_DISLIKES),
            "aggregates": (1, N_AGGREGATES),
        }
        feeds = {name: rng.random(shape, np.float32) for name, shape in shapes.items()}
        times = []
        for _ in range(RUNS):
            start = time.perf_counter()
            session.run(None, feeds)
            times.append(1000 * (time.perf_counter() - start))
        said.append(f"{likes} likes {statistics.median(times):.2f} ms")
    return ", ".join(said)


def _rows(hidden: int) -> list[tuple[str, int, list[float], float]]:
    rng = np.random.default_rng(0)
    width = 2 * DIMENSION + N_AGGREGATES
    layers = {"skip": (DIMENSION, width)}
    if hidden:
        layers |= {"hidden": (hidden, width), "output": (DIMENSION, hidden)}
    return [
        (name, unit, rng.normal(size=n_weights).tolist(), 0.0)
        for name, (n_units, n_weights) in layers.items()
        for unit in range(n_units)
    ]


if __name__ == "__main__":
    main()
