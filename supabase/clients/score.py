"""Load the current model from Supabase Storage and rank the catalogue for a user: a client without Martello.

pip install supabase onnxruntime numpy
SUPABASE_URL=… SUPABASE_SECRET_KEY=… python score.py review:42 10
"""

import hashlib
import json
import os
import sys

import numpy as np
import onnxruntime
from supabase import create_client


def main(user_key: str, count: int) -> None:
    """Print `count` lines: score, video uuid."""
    client = create_client(os.environ["SUPABASE_URL"], os.environ["SUPABASE_SECRET_KEY"])
    files = client.storage.from_(os.environ.get("MARTELLO_BUCKET", "models"))

    current = json.loads(files.download("two_tower/latest/manifest.json"))["current"]
    named = {file["path"]: file for file in current["files"]}

    def read(name: str) -> bytes:
        path = f"two_tower/{current['version']}/{name}"
        content = files.download(path)
        if hashlib.sha256(content).hexdigest() != named[path]["sha256"]:
            sys.exit(f"{path} is not the file that the manifest names")
        return content

    session = onnxruntime.InferenceSession(read(f"two_tower_{current['version']}.onnx"))
    users = json.loads(read("mappings/user_id_map.json"))
    items = json.loads(read("mappings/item_id_map.json"))
    if user_key not in users:
        sys.exit(f"{user_key} is not among the {len(users)} users of version {current['version']}")

    item_idx = np.arange(len(items), dtype=np.int64)
    user_idx = np.full(len(items), users[user_key], np.int64)
    (scores,) = session.run(["score"], {"user_idx": user_idx, "item_idx": item_idx})
    video_ids = list(items)
    for place in np.argsort(-scores)[:count]:
        sys.stdout.write(f"{scores[place]:.4f}  {video_ids[place]}\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 10)
