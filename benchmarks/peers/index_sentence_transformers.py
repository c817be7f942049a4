"""sentence-transformers: `encode` of opened images, with its CLIP module and default batch."""

from pathlib import Path
from typing import Any

from protocol import images_in, index_folders, main


def drive(arguments: dict[str, Any]) -> dict[str, Any]:
    import numpy as np
    from PIL import Image
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import CLIPModel

    model = SentenceTransformer(modules=[CLIPModel(arguments["model"])], device="cpu")

    def index(folder: str, out: Path) -> None:
        images = [Image.open(file) for file in images_in(folder)]
        np.save(f"{out}.npy", model.encode(images, show_progress_bar=False))

    return index_folders(arguments, index)


if __name__ == "__main__":
    main(drive)
