"""clip-retrieval 2.45: `clip_inference` on a folder of files, timed by its own statistics."""

import json
from pathlib import Path
from typing import Any

import torch

from protocol import index_folders, main

BATCH, WORKERS = 32, 2  # its defaults, 256 and 4, are for a GPU

# A build of torchvision for CUDA next to a torch for the CPU lacks its own operations. None is used
# here, but importing it takes that these are declared; here, so that worker processes do so too.
library = torch.library.Library("torchvision", "FRAGMENT")
for name in ("nms", "qnms"):
    library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def drive(arguments: dict[str, Any]) -> dict[str, Any]:
    from clip_retrieval.clip_inference import clip_inference

    def index(folder: str, out: Path) -> dict[str, Any]:
        clip_inference(
            folder,
            str(out),
            enable_text=False,
            batch_size=BATCH,
            num_prepro_workers=WORKERS,
            clip_model=f"hf_clip:{arguments['model']}",
        )
        stats = json.loads((out / "stats" / "0.json").read_text())
        # Its loop alone: each call begins with starting a process for its log.
        return {"seconds": stats["total_duration"]}

    return index_folders(arguments, index)


if __name__ == "__main__":
    main(drive)
