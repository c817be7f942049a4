"""The tutorial's loop: transformers and torch, one image a call, or "batch" of them."""

from pathlib import Path
from typing import Any

from protocol import images_in, index_folders, main


def drive(arguments: dict[str, Any]) -> dict[str, Any]:
    import numpy as np
    import torch
    from PIL import Image
    from transformers import CLIPModel, CLIPProcessor

    model = CLIPModel.from_pretrained(arguments["model"]).eval()
    processor = CLIPProcessor.from_pretrained(arguments["model"])
    size = arguments["batch"]

    def index(folder: str, out: Path) -> None:
        files, rows = images_in(folder), []
        with torch.no_grad():
            for first in range(0, len(files), size):
                images = [Image.open(file) for file in files[first : first + size]]
                inputs = processor(images=images, return_tensors="pt")
                found = model.get_image_features(**inputs)
                found = getattr(found, "pooler_output", found)
                rows.append((found / found.norm(dim=-1, keepdim=True)).numpy())
        np.save(f"{out}.npy", np.concatenate(rows))

    return index_folders(arguments, index)


if __name__ == "__main__":
    main(drive)
