"""`streamgen train tiny`: makes the built-in model, a stage at a time."""

from __future__ import annotations

import argparse
from pathlib import Path

from streamgen.errors import ConfigError

STAGES = ("vae", "unet", "decoder", "package")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", choices=("tiny",), help="the model that can be trained here")
    parser.add_argument("--stage", choices=STAGES, required=True, help="what to train, or package")
    parser.add_argument(
        "--data", type=Path, help="folder of photos and clips; for all stages but package"
    )
    parser.add_argument("--out", type=Path, default=Path("training-runs/tiny"))
    parser.add_argument("--minutes", type=float, default=60.0, help="wall-clock time of this call")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=128, help="side of the crops in pixels")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--pairs", type=int, default=6000, help="latent pairs held at once")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rate", type=float, default=0.015, help="peak learning rate")


def execute(args: argparse.Namespace) -> int:
    """Run one stage; its log, checkpoint and contact sheet lie in a folder under --out."""
    from streamgen.training import stages
    from streamgen.training.plan import Plan

    if args.stage == "package":
        print(f"model: {stages.package(args.out)}")
        return 0
    if args.data is None:
        raise ConfigError(f"--stage {args.stage}: add --data with a folder of photos and clips")
    plan = Plan(
        data=args.data,
        out=args.out,
        minutes=args.minutes,
        seed=args.seed,
        resume=args.resume,
        size_px=args.size,
        batch=args.batch,
        pairs=args.pairs,
        rate=args.rate,
        device=args.device,
    )
    train = {"vae": stages.train_vae, "unet": stages.train_unet, "decoder": stages.train_decoder}
    train[args.stage](plan)
    print(f"checkpoint: {args.out / args.stage}")
    return 0
