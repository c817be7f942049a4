"""Train the demo model on endless drawn scenes and export it to ONNX.

python training/train_demo_model.py --out src/pixseek/demo/model
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from dual_encoder import DualEncoder, build_tokenizer, export
from evaluation import HeldOut, evaluate, held_out
from pixseek.demo.captions import full_description, short_description
from pixseek.demo.scenes import random_scene
from pixseek.encoders.torch.devices import cpu_has_bf16
from scene_batches import SceneStream, shrink

SEED = 1
DESCRIPTION = (
    "Small text-image dual encoder made by the pixseek project. It knows the drawn scenes of "
    "pixseek's own renderer, not photographs, and about 150 English words."
)


def main() -> None:
    """Parse the command line, train, export, print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the exported model")
    parser.add_argument("--steps", type=int, default=3500)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--pool", type=int, default=3000, help="drawn groups of scenes to keep")
    parser.add_argument("--checkpoint", type=Path, help="file to save to and resume from")
    parser.add_argument("--compile", action="store_true", help="faster; needs a C++ compiler")
    parser.add_argument("--smoke", action="store_true", help="a few seconds: no useful model")
    args = parser.parse_args()
    if args.smoke:
        args.steps, args.batch, args.pool = min(args.steps, 12), 64, 80
    model, tokenizer = train(
        steps=args.steps,
        batch_size=args.batch,
        pool_groups=args.pool,
        checkpoint=args.checkpoint,
        compiled=args.compile,
        check_every=0 if args.smoke else 500,
    )
    export(model, tokenizer, args.out, DESCRIPTION)
    if not args.smoke:
        print(json.dumps(figures(model, tokenizer, held_out()), indent=1))


def train(
    *,
    steps: int,
    batch_size: int = 256,
    pool_groups: int = 3000,
    checkpoint: Path | None = None,
    compiled: bool = False,
    check_every: int = 0,
    losses: list[float] | None = None,
) -> tuple[DualEncoder, Tokenizer]:
    """Train both towers with the symmetric contrastive loss; appends each loss to `losses`."""
    torch.manual_seed(SEED)
    tokenizer = build_tokenizer(vocabulary())
    model = DualEncoder(tokenizer.get_vocab_size()).to(memory_format=torch.channels_last)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}],
        lr=2e-3,
        betas=(0.9, 0.98),
    )
    warm_up = min(300, steps // 4 + 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: min(
            (step + 1) / warm_up, 0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        ),
    )
    begin = 0
    if checkpoint is not None and checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        begin = state["step"]
    encode_image = torch.compile(model.image) if compiled else model.image
    stream = SceneStream(SEED + begin, pool_groups)
    renewed = max(1, batch_size // 32)
    data = held_out() if check_every else None
    started, mean = time.monotonic(), 0.0
    in_bf16 = cpu_has_bf16()  # if it is emulated, a step takes many times as long
    for step in range(begin, steps):
        batch = stream.batch(batch_size, renewed)
        pixels = augmented(batch.pixels).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=in_bf16):
            seen = encode_image(pixels)
            full = model.text(*tokens(tokenizer, batch.full))
            short = model.text(*tokens(tokenizer, batch.short))
        loss = contrastive(model, seen, full, batch.full_fits)
        loss = loss + contrastive(model, seen, short, batch.short_fits)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if losses is not None:
            losses.append(loss.item())
        mean = 0.98 * mean + 0.02 * loss.item() if step > begin else loss.item()
        if check_every and (step + 1) % 50 == 0:
            took = time.monotonic() - started
            _say(step=step + 1, loss=round(mean, 3), seconds=round(took),
                 scale=round(float(model.scale), 1))  # fmt: skip
        if check_every and ((step + 1) % check_every == 0 or step + 1 == steps):
            assert data is not None
            _say(step=step + 1, **figures(model, tokenizer, data))
            if checkpoint is not None:
                state = {
                    "model": model.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "schedule": schedule.state_dict(),
                    "step": step + 1,
                }
                torch.save(state, checkpoint.with_suffix(".new"))
                checkpoint.with_suffix(".new").replace(checkpoint)
    return model.eval(), tokenizer


def vocabulary() -> list[str]:
    """Every word of the grammar, collected from random captions."""
    rng = random.Random(SEED)
    words: set[str] = set()
    for _ in range(20_000):
        scene = random_scene(rng)
        for text in (full_description(scene, rng).text, short_description(scene, rng).text):
            words.update(text.replace(",", " ").split())
    return sorted(words)


def tokens(tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """input_ids and attention_mask, (n, length) int64."""
    encoded = tokenizer.encode_batch(list(texts))
    return (
        torch.tensor([e.ids for e in encoded]),
        torch.tensor([e.attention_mask for e in encoded]),
    )


def augmented(pixels: NDArray[np.uint8]) -> Tensor:
    """(n, 64, 64, 3) uint8 -> (n, 3, 64, 64) in about [-1, 1], with small random changes."""
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    gain = 1 + 0.06 * torch.randn(len(x), 1, 1, 1)
    shift = 0.04 * torch.randn(len(x), 3, 1, 1)
    return x * gain + shift


def contrastive(
    model: DualEncoder, images: Tensor, texts: Tensor, fits: NDArray[np.bool_]
) -> Tensor:
    """Symmetric InfoNCE; a picture of which a caption is true is not one of its negatives."""
    images, texts = normalize(images.float()), normalize(texts.float())
    scores = model.scale * texts @ images.T
    spared = torch.from_numpy(fits) & ~torch.eye(len(fits), dtype=torch.bool)
    scores = scores.masked_fill(spared, -1e4)
    own = torch.arange(len(fits))
    return (cross_entropy(scores, own) + cross_entropy(scores.T, own)) / 2


@torch.no_grad()
def figures(model: DualEncoder, tokenizer: Tokenizer, data: HeldOut) -> dict[str, float]:
    """The held-out figures of the torch towers."""
    model.eval()

    def images(pictures: Sequence[Image.Image]) -> NDArray[np.float32]:
        pixels = np.stack([np.asarray(shrink(p)) for p in pictures])
        x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
        return torch.cat([model.image(part) for part in x.split(250)]).numpy()

    def texts(sentences: Sequence[str]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = model.text(*tokens(tokenizer, sentences)).numpy()
        return result

    found = {name: round(value, 4) for name, value in evaluate(data, images, texts).items()}
    model.train()
    return found


def _say(**values: float) -> None:
    print(json.dumps(values), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
