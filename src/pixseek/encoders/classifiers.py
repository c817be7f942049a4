"""Classifiers: models that label images, from a fixed list of labels.

Most are image towers with a last layer for the 1,000 labels of ImageNet (Vision Transformers,
Dosovitskiy et al. 2020, https://arxiv.org/abs/2010.11929). They come in two layouts of the hub:

    onnx/model.onnx, config.json, preprocessor_config.json                       (Xenova)
    model.safetensors or pytorch_model.bin, and the two JSON files, with torch   (transformers)
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixseek.encoders.configuration import read_json, understood
from pixseek.encoders.hub import catalogue, download
from pixseek.encoders.hub.catalogue import Model, Source
from pixseek.encoders.inputs import preprocessing
from pixseek.encoders.inputs.preprocessing import Preprocessing
from pixseek.encoders.runtimes import graph
from pixseek.encoders.runtimes.towers import IMAGES_A_CALL, OnnxTower, first_line
from pixseek.errors import MissingExtraError, ModelError, unknown
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pixseek.encoders.hub.download import OnProgress
    from pixseek.types import Picture, Vectors

DEFAULT = "vit-b16-imagenet"


def _vit(name: str, onnx: str, torch: str, megabytes: int) -> Model:
    sources = [Source(torch, "torch-classifier")]
    if onnx:
        sources.insert(0, Source(onnx, "onnx-classifier"))
    return Model(
        alias=f"vit-{name}16-imagenet",
        description=f"Vision Transformer {name.upper()}/16: labels of the 1,000 ImageNet classes.",
        sources=tuple(sources),
        licence="Apache-2.0",
        dim=0,
        input_side=224,
        context=0,
        languages="",
        megabytes=megabytes,
    )


#: The classifiers with a name. Their revisions are not pinned, see `catalogue`.
CATALOGUE = (
    _vit("b", "Xenova/vit-base-patch16-224", "google/vit-base-patch16-224", 347),
    _vit("l", "", "google/vit-large-patch16-224", 1218),
)

#: The files that a folder must hold, for messages.
EXPECTED = (
    "onnx/model.onnx, config.json, preprocessor_config.json; or for torch model.safetensors, "
    "config.json, preprocessor_config.json"
)


@dataclass(frozen=True, slots=True)
class _Files:
    """A classifier's parts: a graph, or only weights for torch."""

    folder: Path
    graph: graph.Graph | None
    weights: tuple[Path, ...]
    labels: tuple[str, ...]
    alone: bool
    preprocessing: Preprocessing


class Classifier:
    """A model that labels images. Thread-safe.

    Attributes:
        name: name to show.
        labels: all its labels, in the order of its output.
        fingerprint: hash of its weights and its preprocessing.
        input_side: longer side of the images it reads, in pixels.
        batch_size: number of images per call.
    """

    def __init__(
        self, files: _Files, *, name: str, digest: Callable[[Path], str], threads: int = 0
    ) -> None:
        """Create a classifier, which loads its model on the first call; see `load`."""
        self.name = name
        self.labels = files.labels
        self.input_side = files.preprocessing.side
        self.batch_size = IMAGES_A_CALL
        self._files = files
        whole = hashlib.sha256(b"pixseek classifier 1\n")
        for path in files.weights:
            whole.update(f"{digest(path)}\n".encode())
        whole.update(files.preprocessing.describe().encode())
        self.fingerprint = whole.hexdigest()
        self._tower: OnnxTower | _TorchTower = (
            _TorchTower(files.folder, threads)
            if files.graph is None
            else OnnxTower(files.graph, files.graph.outputs[0], threads=threads)
        )

    def prepare(self, picture: Picture) -> Vectors:
        """Return the model's input for one picture, (3, height, width) float32."""
        return self._files.preprocessing.apply(picture)

    def probabilities(self, batch: Vectors) -> NDArray[np.float64]:
        """Return the probability of each label, (n, labels), for n prepared images.

        They come from a softmax and add up to 1; or from a sigmoid for each label, if the model
        was trained for several labels per image.

        Raises:
            ModelError: the batch has another shape, or the model failed.
        """
        import numpy as np

        if batch.shape[1:] != self._files.preprocessing.shape:
            raise ModelError(
                "these images were not prepared for this model",
                f"{self.name}, a batch of shape {batch.shape}",
                "Prepare them with its prepare().",
            )
        graph = self._files.graph
        port = graph.image if graph else None
        given = port.name if port else "pixel_values"
        logits = self._tower.run({given: batch}).astype(np.float64)
        if logits.shape[1] != len(self.labels):
            raise ModelError(
                "a model's outputs and its number of labels differ",
                self._files.folder,
                f"It has {logits.shape[1]} outputs and {len(self.labels)} labels.",
            )
        if self._files.alone:
            found: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(logits, -500, 500)))
            return found
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        found = raised / raised.sum(axis=1, keepdims=True)
        return found


class _TorchTower:
    """A classifier of transformers, run by torch in float32 on the CPU."""

    def __init__(self, folder: Path, threads: int) -> None:
        for package in ("torch", "transformers"):
            if find_spec(package) is None:
                raise MissingExtraError(f"the classifier in {folder}", package, "torch")
        self._folder, self._threads = folder, threads
        self._model: Any = None
        self._lock = threading.Lock()

    def run(self, feeds: dict[str, Vectors]) -> Vectors:
        """Return logits, (n, labels) float32."""
        import torch

        try:
            with self._lock, torch.inference_mode():
                if self._model is None:
                    self._model = self._opened()
                logits = self._model(torch.from_numpy(feeds["pixel_values"])).logits
                rows: Vectors = logits.float().numpy()
        except ModelError:
            raise
        except Exception as error:  # torch and transformers raise many kinds
            raise ModelError("a model failed to run", self._folder, first_line(error)) from error
        return rows

    def _opened(self) -> Any:
        import torch
        import transformers

        from pixseek.encoders.torch.towers import quiet

        if self._threads:
            torch.set_num_threads(self._threads)
        with quiet():
            model, told = transformers.AutoModelForImageClassification.from_pretrained(
                self._folder, local_files_only=True, dtype=torch.float32, output_loading_info=True
            )
        # transformers would fill them with random numbers.
        if lacking := sorted(map(str, told["missing_keys"])):
            raise ModelError("a model lacks weights", self._folder, f"Missing: {lacking[0]}.")
        return model.eval()


def load(
    name: str | Path,
    *,
    models_dir: Path,
    offline: bool = False,
    threads: int = 0,
    on_progress: OnProgress | None = None,
) -> Classifier:
    """Return a classifier; missing files are downloaded.

    Args:
        name: a name of `CATALOGUE`, to which ":torch" may be added for the other runtime, a local
            folder, or the id of a repository of the hub.
        models_dir: folder of downloaded models.
        offline: never use the network.
        threads: threads of a call; 0 for one per core.
        on_progress: called with each file's name, bytes done, and its size in bytes or None.

    Raises:
        ModelError: the classifier is unknown, or can't be downloaded, checked or read.
        MissingExtraError: the package that runs it is not installed.
    """
    from pixseek.encoders.hub.digests import Digests

    digests = Digests(models_dir)
    model = catalogue.find(str(name), CATALOGUE)
    if model is None and isinstance(name, str) and not os.path.isdir(os.path.expanduser(name)):
        model = catalogue.on_hub(str(name), CATALOGUE, catalogue.ANY_CLASSIFIER)
    if model is not None:
        if model.source.runtime == "torch" and find_spec("torch") is None:
            raise MissingExtraError(f"the classifier {model.alias}", "torch", "torch")
        folder = download.fetch(
            model, models_dir, digests, offline=offline, on_progress=on_progress
        )
        return Classifier(_read(folder), name=model.alias, digest=digests.of, threads=threads)
    folder = Path(os.path.expanduser(name))
    if not os.path.isdir(folder):
        known = [each.alias for each in CATALOGUE]
        raise ModelError("unknown classifier", name, unknown("classifier", str(name), known))
    return Classifier(_read(folder), name=folder.resolve().name, digest=digests.of, threads=threads)


def _read(folder: Path) -> _Files:
    with understood(folder):
        return _files(folder)


def _files(folder: Path) -> _Files:
    config = read_json(folder / "config.json", optional=True)
    found = config.get("id2label")
    labels = found if isinstance(found, dict) else {}
    if sorted(labels) != sorted(map(str, range(len(labels)))) or not labels:
        raise ModelError("no classifier in a known layout", folder, f"Expected {EXPECTED}.")
    places = (folder / "onnx" / "model.onnx", folder / "model.onnx")
    onnx = next((path for path in places if os.path.isfile(path)), None)
    read = graph.read(onnx) if onnx else None
    if read is not None:
        if read.image is None or len(read.outputs) != 1:
            raise ModelError("this graph is not a classifier", read.path, f"Expected {EXPECTED}.")
        weights: tuple[Path, ...] = (read.path, *read.external)
    else:
        weights = tuple(sorted(folder.glob("model*.safetensors"))) or tuple(
            sorted(folder.glob("pytorch_model*.bin"))
        )
        if not weights:
            raise ModelError("no classifier in a known layout", folder, f"Expected {EXPECTED}.")
    return _Files(
        folder,
        read,
        weights,
        tuple(str(labels[str(at)]) for at in range(len(labels))),
        config.get("problem_type") == "multi_label_classification",
        # Google's own files name no image processor; transformers takes that of the model's kind.
        preprocessing.from_transformers(
            {"image_processor_type": "ViTImageProcessor"}
            | read_json(folder / "preprocessor_config.json")
        ),
    )
