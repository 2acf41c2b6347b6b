"""`streamgen train tiny`: makes the built-in model, a stage at a time."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from functools import partial

from streamgen.errors import ConfigError


def execute(args: argparse.Namespace) -> int:
    """Run one stage; its log, checkpoint and contact sheet lie in a folder under --out."""
    from streamgen.training import stages
    from streamgen.training.motion_losses import read_balance
    from streamgen.training.plan import Plan

    if args.balance and args.stage != "motion":
        raise ConfigError(f"--balance has no effect on --stage {args.stage}: it is for motion")
    balance = read_balance(args.balance)
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
    train: Mapping[str, Callable[[Plan], None]] = {
        "vae": stages.train_vae,
        "unet": stages.train_unet,
        "decoder": stages.train_decoder,
        "motion": partial(stages.train_motion, model=args.model, balance=balance),
    }
    train[args.stage](plan)
    print(f"checkpoint: {args.out / args.stage}")
    return 0
