"""The models that have a name here, as data.

Pins (revisions and SHA-256) were found in public repositories that download the same files, not
taken from the hub itself: https://github.com/embeddings-benchmark/mteb (`mteb/models`) for most
revisions, and for the others projects that name the same one independently. They are checked after
every download, so a wrong one is an error and never a wrong model. Where none was found the
revision is left empty: it is what the hub has when the model is first fetched, and is written down
beside it with the digests of all files (`hub.RECORD`). Scale and bias of SigLIP's models are those
that several public projects, which read them from Google's weights, name alike to the last digit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from pixseek.types import Likelihood
from pixseek.types.dataclass import dataclass

Runtime = Literal["onnx", "torch"]

#: Layouts that torch runs; all others are ONNX.
_TORCH = frozenset({"transformers", "open_clip", "sentence-transformers", "torch-classifier"})


#: Layouts of repositories that the hub has to be asked about: of encoders, and of classifiers.
ANY, ANY_CLASSIFIER = "", "classifier"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a model on the hub.

    Attributes:
        path: below the repository's root, and below the model's folder once it is here.
        sha256: of its content, in hexadecimal; "" for small text files, which the pinned revision
            fixes as well.
        size: in bytes; 0 where it is not known.
    """

    path: str
    sha256: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model lies on the hub, in one layout.

    Attributes:
        repo: of the hub.
        layout: one of `layouts.EXPECTED` or of `torch.EXPECTED`; it also says what runs the model.
            `ANY` or `ANY_CLASSIFIER` where only what the hub holds says it.
        revision: the pinned commit; "" to take the newest, once.
        files: all that is fetched; none to take what the layout needs of what the revision holds.
    """

    repo: str
    layout: str
    revision: str = ""
    files: tuple[RemoteFile, ...] = ()

    @property
    def runtime(self) -> Runtime:
        """What runs it."""
        return "torch" if self.layout in _TORCH else "onnx"


@dataclass(frozen=True, slots=True)
class Model:
    """A model that has a name here.

    Attributes:
        alias: its name; of a model that the catalogue does not list, its id on the hub.
        description: one sentence: what it is good for.
        sources: where it lies, the one to use first; none for a model that comes with pixseek.
        layout: of a model that comes with pixseek; "" for the others.
        licence: of the weights.
        dim: length of its vectors.
        input_side: of the images it reads, in pixels; of one that reads them in their own shape
            that of a square image.
        context: the most tokens of text it reads.
        languages: of texts, for people.
        megabytes: to download, about; 0 where the files say it.
        quality: recall@1 from text to image in per cent, by benchmark, as published.
        quality_source: who published it.
        restricted: whether the licence forbids some uses, so that a yes is asked for.
        images: alias of the model whose image tower it needs, for a text tower alone.
        note: what users must know before they trust its answers; "" for nothing.
        likelihood: how cosines become probabilities, for ONNX files, which don't say it; None where
            it is not known for certain, and for models for torch, whose weights have it.
        folder: where a model that comes with pixseek lies; None for the others.
    """

    alias: str
    description: str
    sources: tuple[Source, ...]
    licence: str
    dim: int
    input_side: int
    context: int
    languages: str = "English"
    megabytes: int = 0
    quality: tuple[tuple[str, float], ...] = ()
    quality_source: str = ""
    restricted: bool = False
    images: str = ""
    note: str = ""
    likelihood: Likelihood | None = None
    layout: str = ""
    folder: Path | None = None

    @property
    def source(self) -> Source:
        """Where it is fetched from."""
        return self.sources[0]

    @property
    def folder_name(self) -> str:
        """Of its folder among the downloaded models."""
        return self.alias.replace("/", "--").replace(":", "-")

    @property
    def size(self) -> int:
        """Bytes to download, as far as they are known."""
        known = sum(file.size for file in self.source.files) if self.sources else 0
        return max(known, self.megabytes * 1_000_000)


# ------------------------------------------------------------------ sources of figures

_RETRIEVAL = "open_clip, docs/openclip_retrieval_results.csv"
_FG_CLIP_2 = "FG-CLIP 2, arXiv 2510.10921"
_METACLIP_2 = "MetaCLIP 2, arXiv 2507.22062"
_PE = "Perception Encoder, arXiv 2504.13181"
_CHINESE_CLIP = "Chinese-CLIP, arXiv 2211.01335"


def _f30k_coco(flickr: float, coco: float) -> tuple[tuple[str, float], ...]:
    return ("Flickr30k", flickr), ("COCO", coco)


# ------------------------------------------------------------------ rows

DEFAULT = "clip-b32-datacomp"


_clip = partial(Model, licence="MIT", context=77, quality_source=_RETRIEVAL)
_siglip = partial(Model, licence="Apache-2.0", context=64, quality_source=_RETRIEVAL)
_siglip2 = partial(
    Model,
    licence="Apache-2.0",
    context=64,
    languages="109 languages",
    quality_source="SigLIP 2, arXiv 2502.14786",
)


def _clip_resnet(
    name: str, timm: str, dim: int, side: int, megabytes: int, quality: tuple[float, float]
) -> Model:
    return Model(
        alias=f"clip-{name.lower()}-openai",
        description=f"The original CLIP of OpenAI, {name}.",
        sources=(
            Source(f"immich-app/{name}__openai", "immich"),
            Source(f"timm/{timm}_clip.openai", "open_clip"),
        ),
        licence="MIT",
        dim=dim,
        input_side=side,
        context=77,
        megabytes=megabytes,
        quality=_f30k_coco(*quality),
        quality_source=_RETRIEVAL,
    )


def _fg_clip_2(
    name: str, dim: int, megabytes: int, quality: tuple[float, float], revision: str = ""
) -> Model:
    return Model(
        alias=f"fg-clip2-{name}",
        description=f"FG-CLIP 2 {name}: fine differences, in English and Chinese.",
        sources=(Source(f"qihoo360/fg-clip2-{name}", "transformers", revision),),
        licence="Apache-2.0",
        dim=dim,
        input_side=512,
        context=64,
        languages="English, Chinese",
        megabytes=megabytes,
        quality=_f30k_coco(*quality),
        quality_source=_FG_CLIP_2,
    )


def _pe_core(
    name: str, dim: int, side: int, context: int, megabytes: int, coco: float, revision: str
) -> Model:
    return Model(
        alias=f"pe-core-{name.removeprefix('big')[0].lower()}",
        description=f"Perception Encoder Core {name}, of Meta: for the best hits in English.",
        sources=(Source(f"timm/PE-Core-{name}", "open_clip", revision),),
        licence="Apache-2.0",
        dim=dim,
        input_side=side,
        context=context,
        megabytes=megabytes,
        quality=(("COCO", coco),),
        quality_source=_PE,
    )


def _mobileclip2(name: str, dim: int, side: int, megabytes: int, revision: str = "") -> Model:
    return Model(
        alias=f"mobileclip2-{name.partition('-')[0].lower()}",
        description=f"MobileCLIP2-{name}, of Apple: small and fast for its quality.",
        sources=(Source(f"timm/MobileCLIP2-{name}-OpenCLIP", "open_clip", revision),),
        licence="research only (Apple)",
        dim=dim,
        input_side=side,
        context=77,
        megabytes=megabytes,
        restricted=True,
    )


def _nllb(size: str, dim: int, megabytes: int, xm3600: float) -> Model:
    return Model(
        alias=f"nllb-clip-{size}",
        description=f"NLLB-CLIP {size} with SigLIP's images: for languages that others lack.",
        sources=(
            Source(f"immich-app/nllb-clip-{size}-siglip__mrl", "immich"),
            Source(f"visheratin/nllb-siglip-mrl-{size}", "open_clip"),
        ),
        licence="CC-BY-NC-4.0",
        dim=dim,
        input_side=384,
        context=77,
        languages="201 languages",
        megabytes=megabytes,
        quality=(("XM3600", xm3600),),
        quality_source="card of visheratin/nllb-siglip-mrl",
        restricted=True,
        note="Texts are taken for English: the language of a query can't be named yet.",
    )


def _chinese_clip(
    name: str, hub: str, dim: int, side: int, megabytes: int, flickr_cn: float, revision: str = ""
) -> Model:
    quality = (("Flickr30k-CN", flickr_cn),) if flickr_cn else ()
    return Model(
        alias=f"chinese-clip-{name}",
        description=f"Chinese-CLIP {hub}: for queries in Chinese.",
        sources=(Source(f"OFA-Sys/chinese-clip-{hub}", "transformers", revision),),
        licence="MIT",
        dim=dim,
        input_side=side,
        context=52,
        languages="Chinese",
        megabytes=megabytes,
        quality=quality,
        quality_source=_CHINESE_CLIP if quality else "",
    )


CATALOGUE = (
    Model(
        alias=DEFAULT,
        description="CLIP ViT-B/32 at 256 pixels, trained on DataComp: fast, for photographs.",
        sources=(
            Source(
                "yurijmikhalevich/rclip-models",
                "rclip",
                "17b9d07433aad73f70d338d8a1c7a4cef83887e0",
                (
                    RemoteFile(
                        "ViT-B-32-256-datacomp_s34b_b86k/visual.onnx",
                        "3f7e6f94e5a34bc7ee8aba84aec0f963f56974ab405fbcd334c8e1c3f832bd2c",
                        351_826_068,
                    ),
                    RemoteFile(
                        "ViT-B-32-256-datacomp_s34b_b86k/textual.onnx",
                        "ee267cd64f0f77362670ae0140476ed51ee8c5a761d41636e09997f2fdddcacc",
                        254_344_274,
                    ),
                    RemoteFile(
                        "tokenizer/bpe_simple_vocab_16e6.txt.gz",
                        "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a",
                        1_356_917,
                    ),
                ),
            ),
            Source(
                "laion/CLIP-ViT-B-32-256x256-DataComp-s34B-b86K",
                "open_clip",
                "4afec35ffe57a943d569ff7ee888061830164da8",
            ),
        ),
        licence="MIT",
        dim=512,
        input_side=256,
        context=77,
        quality=_f30k_coco(64.9, 39.9),
        quality_source=_RETRIEVAL,
    ),
    _clip_resnet("RN50", "resnet50", 1024, 224, 408, (57.4, 28.5)),
    _clip_resnet("RN101", "resnet101", 512, 224, 479, (58.0, 30.7)),
    _clip_resnet("RN50x4", "resnet50x4", 640, 288, 713, (62.6, 33.4)),
    _clip_resnet("RN50x16", "resnet50x16", 768, 384, 1164, (65.3, 35.4)),
    _clip_resnet("RN50x64", "resnet50x64", 1024, 448, 2493, (69.0, 35.2)),
    Model(
        alias="clip-b32-openai",
        description="The original CLIP ViT-B/32 of OpenAI, for photographs.",
        sources=(
            Source(
                "Xenova/clip-vit-base-patch32",
                "xenova",
                "d15189d7028b43f1d3e65039190477f6af591c2a",
                (
                    RemoteFile(
                        "onnx/vision_model.onnx",
                        "fd6e1402a588279d1723c7534d4bcba5bc0b14b47dfab0e46f8c47b8270d7d40",
                        351_685_709,
                    ),
                    RemoteFile(
                        "onnx/text_model.onnx",
                        "3f6571f5bad13a97c469c1622e1cfc4d9aef78b79fdbfcff804ca357bfada8cc",
                        254_058_553,
                    ),
                    RemoteFile(
                        "tokenizer.json",
                        "f7f3b7af117d467b58374797691a6438d3e6b9e9cef800dfd5dced7f697a90cd",
                        2_224_119,
                    ),
                    RemoteFile("config.json"),
                    RemoteFile("preprocessor_config.json"),
                ),
            ),
            Source(
                "openai/clip-vit-base-patch32",
                "transformers",
                "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268",
            ),
        ),
        licence="MIT",
        dim=512,
        input_side=224,
        context=77,
        quality=_f30k_coco(58.8, 30.4),
        quality_source=_RETRIEVAL,
    ),
    _clip(
        alias="clip-b16-openai",
        description="The original CLIP ViT-B/16 of OpenAI.",
        sources=(
            Source("Xenova/clip-vit-base-patch16", "xenova"),
            Source(
                "openai/clip-vit-base-patch16",
                "transformers",
                "57c216476eefef5ab752ec549e440a49ae4ae5f3",
            ),
        ),
        dim=512,
        input_side=224,
        megabytes=599,
        quality=_f30k_coco(62.2, 33.1),
    ),
    _clip(
        alias="clip-l14-openai",
        description="The original CLIP ViT-L/14 of OpenAI.",
        sources=(
            Source("Xenova/clip-vit-large-patch14", "xenova"),
            Source(
                "openai/clip-vit-large-patch14",
                "transformers",
                "32bd64288804d66eefd0ccbe215aa642df71cc41",
            ),
        ),
        dim=768,
        input_side=224,
        megabytes=1711,
        quality=_f30k_coco(65.0, 36.5),
    ),
    _clip(
        alias="clip-l14-336-openai",
        description="The original CLIP ViT-L/14 of OpenAI at 336 pixels.",
        sources=(
            Source("Xenova/clip-vit-large-patch14-336", "xenova"),
            Source(
                "openai/clip-vit-large-patch14-336",
                "transformers",
                "ce19dc912ca5cd21c8a653c79e251e808ccabcd1",
            ),
        ),
        dim=768,
        input_side=336,
        megabytes=1712,
        quality=_f30k_coco(66.9, 37.1),
    ),
    _clip(
        alias="clip-b32-laion2b",
        description="OpenCLIP ViT-B/32, trained on LAION-2B.",
        sources=(
            Source("immich-app/ViT-B-32__laion2b-s34b-b79k", "immich"),
            Source(
                "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
                "open_clip",
                "08f73555f1b2fb7c82058aebbd492887a94968ef",
            ),
        ),
        dim=512,
        input_side=224,
        megabytes=605,
        quality=_f30k_coco(66.8, 39.3),
    ),
    _clip(
        alias="clip-l14-laion2b",
        description="OpenCLIP ViT-L/14, trained on LAION-2B.",
        sources=(
            Source(
                "laion/CLIP-ViT-L-14-laion2B-s32B-b82K",
                "open_clip",
                "1627032197142fbe2a7cfec626f4ced3ae60d07a",
            ),
        ),
        dim=768,
        input_side=224,
        megabytes=1711,
        quality=_f30k_coco(75.5, 46.5),
    ),
    _clip(
        alias="clip-l14-datacomp",
        description="OpenCLIP ViT-L/14, trained on DataComp-1B.",
        sources=(
            Source(
                "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K",
                "open_clip",
                "84c9828e63dc9a9351d1fe637c346d4c1c4db341",
            ),
        ),
        dim=768,
        input_side=224,
        megabytes=1711,
        quality=_f30k_coco(73.4, 45.7),
    ),
    _clip(
        alias="clip-h14-laion2b",
        description="OpenCLIP ViT-H/14, trained on LAION-2B.",
        sources=(
            Source(
                "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
                "open_clip",
                "de081ac0a0ca8dc9d1533eed1ae884bb8ae1404b",
            ),
        ),
        dim=1024,
        input_side=224,
        megabytes=3944,
        quality=_f30k_coco(77.6, 49.5),
    ),
    Model(
        alias="clip-h14-378-dfn5b",
        description="CLIP ViT-H/14 at 378 pixels, trained on DFN-5B, of Apple.",
        sources=(Source("apple/DFN5B-CLIP-ViT-H-14-378", "open_clip"),),
        dim=1024,
        input_side=378,
        megabytes=3947,
        quality=_f30k_coco(82.0, 55.6),
        context=77,
        quality_source="DFN, arXiv 2309.17425",
        licence="research only (Apple)",
        restricted=True,
    ),
    Model(
        alias="clip-b32-multilingual",
        description="Texts of over 50 languages, for the images of clip-b32-openai.",
        sources=(
            Source(
                "sentence-transformers/clip-ViT-B-32-multilingual-v1",
                "sentence-transformers",
                "58edf8cada9e398793dca955574a48cbb7f18be2",
            ),
        ),
        licence="Apache-2.0",
        dim=512,
        input_side=224,
        context=128,
        languages="over 50 languages",
        megabytes=541,
        images="clip-b32-openai",
    ),
    _siglip(
        alias="siglip-b16-224",
        description="SigLIP ViT-B/16.",
        sources=(
            Source("Xenova/siglip-base-patch16-224", "xenova"),
            Source(
                "google/siglip-base-patch16-224",
                "transformers",
                "7fd15f0689c79d79e38b1c2e2e2370a7bf2761ed",
            ),
        ),
        dim=768,
        input_side=224,
        megabytes=813,
        quality=_f30k_coco(74.7, 47.8),
        likelihood=Likelihood(117.33076477050781, -12.9324369430542),
    ),
    _siglip(
        alias="siglip-so400m-384",
        description="SigLIP So400m at 384 pixels: among the best in English.",
        sources=(
            Source(
                "google/siglip-so400m-patch14-384",
                "transformers",
                "9fdffc58afc957d1a03a25b10dba0329ab15c2a3",
            ),
        ),
        dim=1152,
        input_side=384,
        megabytes=3512,
        quality=_f30k_coco(83.0, 54.2),
    ),
    _siglip2(
        alias="siglip2-b16-224",
        description="SigLIP 2 ViT-B/16: many languages at a moderate price.",
        sources=(
            Source(
                "onnx-community/siglip2-base-patch16-224-ONNX",
                "xenova",
                "ba1f3b0843f24bc5417d38e19c37b287d719b2f4",
                (
                    RemoteFile(
                        "onnx/vision_model.onnx",
                        "c0573e3f4140c3a7c4e9cc5912bd6b26a033b46a6a8e8af26cbea262b163bcad",
                        371_807_752,
                    ),
                    RemoteFile(
                        "onnx/text_model.onnx",
                        "baf12d941beabafafb14f7b4adb38dc15be18681b964a84410ec53d9d65e6293",
                    ),
                    RemoteFile(
                        "tokenizer.json",
                        "cb9140fae3ac5122c972d37adf83e1248471a38147ad76f8215c8872c6fd8322",
                    ),
                    RemoteFile("config.json"),
                    RemoteFile("preprocessor_config.json"),
                ),
            ),
            Source(
                "google/siglip2-base-patch16-224",
                "transformers",
                "75de2d55ec2d0b4efc50b3e9ad70dba96a7b2fa2",
            ),
        ),
        dim=768,
        input_side=224,
        megabytes=1501,
        quality=(("COCO", 52.1),),
        likelihood=Likelihood(math.exp(4.724453449249268), -16.771724700927734),
    ),
    _siglip2(
        alias="siglip2-l16-512",
        description="SigLIP 2 ViT-L/16 at 512 pixels.",
        sources=(
            Source(
                "google/siglip2-large-patch16-512",
                "transformers",
                "49488218e80259885f3be61d7a9455faf833b7a8",
            ),
        ),
        dim=1024,
        input_side=512,
        megabytes=3528,
        quality=(("COCO", 55.2),),
    ),
    _siglip2(
        alias="siglip2-so400m-384",
        description="SigLIP 2 So400m at 384 pixels: the best hits in many languages.",
        sources=(
            Source(
                "google/siglip2-so400m-patch16-384",
                "transformers",
                "dd658faac399427308559e2c3ac1e99cbe43845d",
            ),
        ),
        dim=1152,
        input_side=384,
        megabytes=4544,
        quality=(("COCO", 56.0),),
    ),
    _siglip2(
        alias="siglip2-b16-naflex",
        description="SigLIP 2 ViT-B/16 NaFlex: reads each picture in its own shape.",
        sources=(
            Source(
                "google/siglip2-base-patch16-naflex",
                "transformers",
                "b53b807d3a2d5e2b3911292f2d69e5341cdc064c",
            ),
        ),
        dim=768,
        input_side=256,
        megabytes=1501,
        quality=(("COCO", 51.1),),
    ),
    _siglip2(
        alias="siglip2-so400m-naflex",
        description="SigLIP 2 So400m NaFlex: reads each picture in its own shape.",
        sources=(
            Source(
                "google/siglip2-so400m-patch16-naflex",
                "transformers",
                "cc24074f717b612951c2dead130904ab9b65a81e",
            ),
        ),
        dim=1152,
        input_side=256,
        megabytes=4544,
        quality=(("COCO", 55.1),),
    ),
    _fg_clip_2("base", 768, 1540, (81.9, 54.5), "430fbc8a912c86fd4de601381b6245a0edab22f0"),
    _fg_clip_2("large", 1024, 3560, (84.8, 58.6)),
    _fg_clip_2("so400m", 1152, 4600, (85.0, 56.7), "d57d30fe94a107dd6a2610eb4e9a135004d823a4"),
    Model(
        alias="metaclip2-h14",
        description="MetaCLIP 2 worldwide ViT-H/14: over 300 languages.",
        sources=(
            Source(
                "facebook/metaclip-2-worldwide-huge-quickgelu",
                "transformers",
                "c139061af7b10fdb2e754b60d2b1182a3d5526c2",
            ),
        ),
        licence="CC-BY-NC-4.0",
        dim=1024,
        input_side=224,
        context=77,
        languages="over 300 languages",
        megabytes=7440,
        quality=_f30k_coco(77.0, 47.7),
        quality_source=_METACLIP_2,
        restricted=True,
    ),
    _pe_core("B-16", 1024, 224, 32, 1791, 50.9, "0038414f37721c5eafc1a5e0da802d291c909de3"),
    _pe_core("L-14-336", 1024, 336, 32, 2684, 57.1, "8eff41b3f687e50a323662c2dda5eb3588c6dd35"),
    _pe_core("bigG-14-448", 1280, 448, 72, 9670, 58.1, "17aa0c25addfa14198fa2ff73d845a22d433432e"),
    _mobileclip2("S0", 512, 256, 300, "095906d28bf54d7584dc411e8ffe448f34289e05"),
    _mobileclip2("S2", 512, 256, 397),
    _mobileclip2("B", 512, 224, 599),
    _mobileclip2("S3", 768, 256, 997),
    _mobileclip2("S4", 768, 256, 1781),
    _mobileclip2("L-14", 768, 224, 1711),
    Model(
        alias="tipsv2-b14",
        description="TIPSv2 ViT-B/14 at 448 pixels, of Google.",
        sources=(Source("google/tipsv2-b14", "transformers"),),
        licence="unverified",
        dim=768,
        input_side=448,
        context=64,
        megabytes=800,
        restricted=True,
    ),
    _nllb("base", 768, 2030, 55.0),
    _nllb("large", 1152, 4780, 61.0),
    _chinese_clip(
        "b16",
        "vit-base-patch16",
        512,
        224,
        753,
        62.7,
        "36e679e65c2a2fead755ae21162091293ad37834",
    ),
    _chinese_clip("l14", "vit-large-patch14", 768, 224, 1625, 68.0),
    _chinese_clip("l14-336", "vit-large-patch14-336px", 768, 336, 1627, 0.0),
    Model(
        alias="demo",
        description="A tiny model that comes with pixseek, to try it without a download.",
        sources=(),
        licence="Apache-2.0",
        dim=128,
        input_side=64,
        context=64,
        note="The demo model knows drawn scenes only, not photographs.",
        layout="immich",
        folder=Path(__file__).parents[2] / "demo" / "model",
    ),
)


def find(name: str, models: Iterable[Model] | None = None) -> Model | None:
    """Return the model of a name; None where there is none.

    Args:
        name: an alias, or one with a runtime, as in "clip-b32-openai:torch".
        models: to look among; None for `CATALOGUE`.
    """
    alias, _, runtime = name.partition(":")
    listed = CATALOGUE if models is None else models
    model = next((model for model in listed if model.alias == alias), None)
    if model is None or not runtime or (model.sources and model.source.runtime == runtime):
        return model
    sources = tuple(source for source in model.sources if source.runtime == runtime)
    return replace(model, alias=name, sources=sources) if sources else None


#: A repository of the hub, and the revision that is meant: "google/siglip2-base-patch16-256@main".
_HUB_ID = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w.-]+))?")


def on_hub(name: str, models: Iterable[Model] | None = None, layout: str = ANY) -> Model | None:
    """Return the model of a repository of the hub; None where a name can't be that of one.

    A repository that the catalogue lists is the catalogue's model, with its pins and its licence.
    Of any other nothing is known before the hub is asked.

    Args:
        name: OWNER/NAME, or OWNER/NAME@REVISION.
        models: those that are known; None for `CATALOGUE`.
        layout: of any other: `ANY` or `ANY_CLASSIFIER`.
    """
    found = _HUB_ID.fullmatch(name)
    if found is None:
        return None
    repo, revision = found[1], found[2] or ""
    listed = CATALOGUE if models is None else models
    for model in listed:
        for source in model.sources:
            if source.repo == repo and revision in ("", source.revision):
                first = source is model.source
                return model if first else find(f"{model.alias}:{source.runtime}", listed)
    return Model(
        alias=name,
        description=f"https://huggingface.co/{repo}",
        sources=(Source(repo, layout, revision),),
        licence="",
        dim=0,
        input_side=0,
        context=0,
        languages="",
    )
