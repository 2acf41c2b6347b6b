"""What motion modules add to a UNet's specification: rings of frames before; no networks.

motion_slot int64 [B]                in   which row of the slabs each row has leased
motion_strength [B]                  in   how much of what modules add goes into each row
motion_mask_0 … bool [S, slots]      in   which frames are filled, of each level that has modules
motion_positions_0 … int64 [S, slots + 1]  in   of those frames and, last, of the one that is drawn
motion_state_0 … [S, slots, N, C]    in   slabs: of each attention over time, in the order of the
                                          network; float32, float16 or int8
motion_scale_0 … float16 [S, slots, N]  in   of each of them, where they are int8
new_motion_state_0 … [B, N, C], new_motion_scale_0 … [B, N]  out  those of this frame; who calls
                                          writes them into the slabs
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from engines.spec import EngineSpec, Range, TensorSpec
from streamgen.errors import ConfigError
from streamgen.motion.budget import MotionMemory, tokens_of
from streamgen.motion.layouts import Place
from streamgen.motion.module import ATTENTIONS
from streamgen.motion.ring import Ring

MOTION_SLOT = "motion_slot"
_STRENGTH = "motion_strength"


def with_motion(
    spec: EngineSpec, places: Sequence[Place], memory: MotionMemory, *, rows: int
) -> EngineSpec:
    """Return the specification of a network with motion modules in some places.

    memory: which of them it has, and what they see. rows: that can have memory at once. Raises
    ConfigError for a range of sizes: slabs are of one.
    """
    batch = spec.inputs[0].shape[0]
    inputs = [
        TensorSpec(MOTION_SLOT, (batch,), "int64"),
        TensorSpec(_STRENGTH, (batch,), "float32"),
    ]
    for level, ring in sorted(rings_of(places, memory).items()):
        inputs += [
            TensorSpec(f"motion_mask_{level}", (rows, ring.slots), "bool"),
            TensorSpec(f"motion_positions_{level}", (rows, ring.slots + 1), "int64"),
        ]
    states, scales = [], []
    for k, (ring, tokens, channels) in enumerate(_attentions(spec, places, memory)):
        states.append((f"motion_state_{k}", (rows, ring.slots), (tokens, channels)))
        if memory.kind == "int8":
            scales.append((f"motion_scale_{k}", (rows, ring.slots), (tokens,)))
    outputs = []
    for dtype, kept in ((memory.kind, states), ("float16", scales)):
        # Only the slots of a batch are made what the network computes in.
        inputs += [TensorSpec(name, (*held, *inner), dtype, True) for name, held, inner in kept]
        outputs += [TensorSpec(f"new_{name}", (batch, *inner), dtype) for name, _, inner in kept]
    return replace(spec, inputs=(*spec.inputs, *inputs), outputs=(*spec.outputs, *outputs))


def rings_of(places: Sequence[Place], memory: MotionMemory) -> dict[int, Ring]:
    """Return the rings of the levels that have modules."""
    levels = {place.level for place in places}
    return {level: ring for level in levels if (ring := memory.rings[level]) is not None}


def slabs_among(spec: EngineSpec) -> tuple[TensorSpec, ...]:
    """Return the inputs that are of all rows that can have memory, and not of a batch."""
    named = (each for each in spec.inputs if each.name.startswith("motion_"))
    return tuple(each for each in named if each.name not in (MOTION_SLOT, _STRENGTH))


def _attentions(
    spec: EngineSpec, places: Sequence[Place], memory: MotionMemory
) -> Iterator[tuple[Ring, int, int]]:
    """Yield ring, tokens and channels of each attention, in the order of the network."""
    *_, height, width = spec.inputs[0].shape
    if isinstance(height, Range) or isinstance(width, Range):
        raise ConfigError(f"motion memory for sizes {height}, {width}: give one fixed size")
    for place in places:
        ring = memory.rings[place.level]
        if ring is not None:
            tokens = tokens_of(place, (height, width))
            yield from [(ring, tokens, place.channels)] * (ATTENTIONS * place.depth)
