"""A plan: the bytes that stand for an engine on disk, and what they are refused for."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import asdict, dataclass, field

_MAGIC = b"ptrt"
Profile = dict[str, list[list[int]]]  # by input: least, usual, most


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What was built, apart from the graph. is_stripped: without the weights that can be refit."""

    version: str
    gpu: str
    capability: str
    name: str = ""
    profiles: list[Profile] = field(default_factory=list)
    is_refittable: bool = False
    is_stripped: bool = False
    is_detailed: bool = False

    def packed(self, graph: bytes) -> bytes:
        """Return the plan with its graph as bytes."""
        told = asdict(self) | {"digest": hashlib.sha256(graph).hexdigest()}
        head = json.dumps(told).encode()
        return _MAGIC + struct.pack("<QQ", len(head), len(graph)) + head + graph


def unpacked(data: bytes, *, version: str, gpu: str, capability: str) -> tuple[Plan, bytes]:
    """Return a plan and its graph; ValueError, in the words of a log, where it is no good here."""
    if data[:4] != _MAGIC or len(data) < 20:
        raise ValueError("Serialization assertion header.magic == kMAGIC failed. Magic tag wrong")
    head, size = struct.unpack("<QQ", data[4:20])
    if len(data) != 20 + head + size:
        raise ValueError(f"Serialization assertion size failed: {len(data)} bytes are not the plan")
    told, graph = json.loads(data[20 : 20 + head]), data[20 + head :]
    if hashlib.sha256(graph).hexdigest() != told.pop("digest"):
        raise ValueError("Serialization assertion failed: the plan's bytes were changed")
    plan = Plan(**told)
    if plan.version != version:
        raise ValueError(
            "The engine plan file is not compatible with this version of TensorRT, expecting"
            f" library version {version} got {plan.version}, please rebuild."
        )
    if (plan.gpu, plan.capability) != (gpu, capability):
        raise ValueError(
            "The engine plan file is generated on an incompatible device, expecting compute"
            f" {capability} ({gpu}) got compute {plan.capability} ({plan.gpu}), please rebuild."
        )
    return plan, graph
