"""The networks that `streamgen engines` builds and verifies; compiles nothing by itself."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import nn

from engines.cache import EngineCache, cache_root
from engines.calibration import Calibration
from engines.jobs import BuildApart
from engines.progress import Tell
from engines.protocol import BackendOptions
from engines.registry import choose
from engines.spec import EngineSpec
from engines.store import NetworkStore
from engines.verify import Limits
from streamgen.cli.motion_options import asked_model, check_motion
from streamgen.cli.options import check_threads, stream_config
from streamgen.models.engines import Engines, find_device
from streamgen.models.loading import LoadedModel, load_model
from streamgen.models.motion_network import with_adapter
from streamgen.models.ports import parts_of
from streamgen.models.remembering import UNET_MOTION
from streamgen.models.specs import spec_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """One network of a model for one batch size, and how exact it has to be.

    role: of the engines; forms of the denoiser differ in theirs, and not in that of the spec.
    """

    role: str
    spec: EngineSpec
    module: nn.Module
    batch: int
    limits: Limits
    calibration: Calibration | None

    @property
    def title(self) -> str:
        """Its name among those of one model and one backend."""
        return f"{self.role} x{self.batch} {self.spec.precision}"


def open_model(args: argparse.Namespace) -> LoadedModel:
    """Load the model of the options; tell what is wrong with the options first."""
    row = asked_model(args)
    row.check_size(args.size.width, args.size.height)
    check_threads(args)
    check_motion(args)
    return with_adapter(load_model(row), stream_config(args, args.size))


def engines_of(
    model: LoadedModel, args: argparse.Namespace, *, backend: str, precision: str
) -> Engines:
    """Return engines that have compiled nothing yet."""
    options = BackendOptions(threads=args.threads)
    choice = choose(backend, device=find_device(args.device), options=options)
    config = replace(stream_config(args, args.size), backend=backend, precision=precision)
    cache = EngineCache(cache_root(os.environ))
    return Engines(model, config, choice=choice, cache=cache)


def networks_of(engines: Engines, batches: Sequence[int]) -> list[Network]:
    """Return what has to be there to draw that many pictures at once."""
    sizes = engines.choice.backend.batch_sizes
    parts = sorted({part for batch in batches for part in parts_of(batch, sizes)})
    return [_network(engines, role, batch) for batch in parts for role in engines.first_roles]


def store_of(engines: Engines, *, tell: Tell) -> NetworkStore:
    """Return what builds for these engines, in processes of their own."""
    return NetworkStore(
        backend=engines.choice.backend,
        cache=engines.networks.cache,
        device=engines.choice.device,
        builder=BuildApart(options=BackendOptions(threads=engines.config.threads)),
        tell=tell,
    )


def _network(engines: Engines, role: str, batch: int) -> Network:
    size = (engines.config.width, engines.config.height)
    precision = engines.precision_of(role)
    if role == UNET_MOTION and engines.motion is not None:
        spec = engines.motion.spec(batch)
    else:
        spec = spec_of(role, batch, engines.model, size=size, precision=precision)
    terms = engines.calibrating.terms_of(spec)
    return Network(
        role=role,
        spec=spec,
        module=engines.module(role),
        batch=batch,
        limits=terms["limits"],
        calibration=terms["calibration"],
    )
