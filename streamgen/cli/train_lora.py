"""`streamgen train lora`: teaches the built-in model a style by pairs of pictures."""

from __future__ import annotations

import argparse


def execute(args: argparse.Namespace) -> int:
    """Train a LoRA; its log, checkpoint and contact sheet lie in a folder beside it."""
    from streamgen.training.lora import train_lora
    from streamgen.training.lora_plan import LoraPlan

    plan = LoraPlan(
        photos=args.photos or args.drawn.absolute().parent / "photos",
        drawn=args.drawn,
        out=args.out,
        model=args.model,
        prompt=args.prompt,
        rank=args.rank,
        minutes=args.minutes,
        steps=args.steps,
        seed=args.seed,
        resume=args.resume,
        size_px=args.size,
        batch=args.batch,
        rate=args.rate,
        device=args.device,
    )
    print(f"LoRA: {train_lora(plan)}")
    print(f"contact sheet: {plan.folder / 'sheet.png'} (photo, drawn, without and with the LoRA)")
    return 0
