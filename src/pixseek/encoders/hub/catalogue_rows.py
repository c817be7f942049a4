"""The models of the catalogue, as data. This file is above 500 lines because it is a table.

The pins (revisions and SHA-256) come from public repositories that download the same files, not
from the hub itself: https://github.com/embeddings-benchmark/mteb (`mteb/models`) for most
revisions, and projects that name the same one independently for the others. Every download is
checked against them, so a wrong pin is an error and never a wrong model. Where none was found, the
revision is empty: the model is then what the hub has when it is first fetched, and its commit and
the digests of all files are recorded next to it (`pins.RECORD`). Scale and bias of SigLIP's models
are those that several public projects, which read them from Google's weights, give to the last
digit.
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

from pixseek.encoders.hub.model import Model, RemoteFile, Source
from pixseek.types import Likelihood

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
        note="Queries are read as English: there is no option for another language yet.",
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
        description="SigLIP 2 ViT-B/16: many languages, of moderate size.",
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
