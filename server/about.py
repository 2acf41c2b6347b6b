"""Routes about the server itself: what it can do, its pictures, its health; no sessions."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic_core import to_jsonable_python
from starlette.concurrency import run_in_threadpool

from server import metrics
from server.edge import Edge
from server.openapi import bearer, errors
from server.pages import thumbnail
from server.rights import require_somewhere
from server.wire import ControlBody, SizeBody
from server.wire_about import (
    AboutBody,
    HealthBody,
    IceBody,
    IceServerBody,
    LoraBody,
    LorasBody,
    SeatsBody,
    SizesBody,
)
from streamgen import __version__
from streamgen.control_schema import schema
from streamgen.models.registry import TABLE
from streamgen.sources.geometry import Size

Name = Annotated[str, Path(max_length=100, description="As the vocabulary of the model names it.")]


def about(edge: Edge, loras: Sequence[LoraBody]) -> AboutBody:
    """Return everything that a page needs to know before its offer; loras: that there are now."""
    settings = edge.settings
    return AboutBody(
        version=__version__,
        needs_token=settings.token is not None,
        model=settings.row.name,
        motion=None if settings.adapter is None else settings.adapter.name,
        models=tuple(row.name for row in TABLE),
        specs=control_bodies(edge),
        understands=edge.understands(),
        loras=tuple(loras),
        sizes=SizesBody(
            allowed=tuple(size_body(size) for size in settings.sizes),
            default=size_body(settings.size),
        ),
        seats=SeatsBody(**asdict(edge.sessions.seats())),
    )


def control_bodies(edge: Edge) -> tuple[ControlBody, ...]:
    """Return the description of every control that has a use here, with the model's defaults."""
    row = edge.settings.row
    return tuple(
        # Plain data: of a model, what it was not given would be left out.
        ControlBody(**{**asdict(spec), "default": to_jsonable_python(spec.default)})
        for spec in schema(row.controls)
        if row.has_motion or spec.name != "motion_strength"
    )


def size_body(size: Size) -> SizeBody:
    """Return a size as JSON has it."""
    return SizeBody(width=size.width, height=size.height)


def about_routes(edge: Edge) -> APIRouter:
    """Return what a page asks before its offer."""
    router = APIRouter(tags=["about"])

    @router.get(
        "/v1/about",
        summary="What this server is and can do",
        response_model_exclude_unset=True,
        responses=errors(401, 503),
    )
    async def read_about(request: Request) -> AboutBody:
        if request.state.is_trusted:
            return about(edge, await run_in_threadpool(edge.loras.look))
        return AboutBody(version=__version__, needs_token=True)

    @router.get(
        "/v1/loras",
        summary="Which LoRAs there are now; a pass to control a stream will do",
        dependencies=[Depends(bearer)],
        responses=errors(401),
    )
    async def read_loras(request: Request) -> LorasBody:
        require_somewhere(request, "control")
        return LorasBody(loras=await run_in_threadpool(edge.loras.look))

    @router.get(
        "/v1/thumbnails/{name}.webp",
        summary="A picture of one of the model's styles",
        response_class=Response,
        responses={
            200: {"content": {"image/webp": {}}, "description": "The picture."},
            **errors(404, 422, is_json=False),
        },
    )
    async def read_thumbnail(name: Name) -> Response:
        return thumbnail(edge.settings.row, edge.understands(), name)

    @router.get(
        "/v1/ice",
        summary="STUN and TURN servers, with passwords that are good for an hour",
        dependencies=[Depends(bearer)],
        response_model_exclude_none=True,
        responses=errors(401),
    )
    async def read_ice() -> IceBody:
        servers = edge.settings.ice_servers(secrets.token_hex(8))
        return IceBody(servers=tuple(IceServerBody(**asdict(server)) for server in servers))

    return router


def health_routes(edge: Edge) -> APIRouter:
    """Return what machines ask: is it there, is it ready, how is it doing."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz", summary="Whether the process answers", responses=errors())
    async def healthy() -> HealthBody:
        return HealthBody(status="alive")

    @router.get("/readyz", summary="Whether new sessions are taken", responses=errors(503))
    async def ready() -> HealthBody:
        if (reason := edge.why_not_ready()) is not None:
            raise reason
        return HealthBody(status="ready")

    @router.get(
        "/metrics",
        summary="Counters in Prometheus' text format",
        dependencies=[Depends(bearer)],
        response_class=PlainTextResponse,
        responses=errors(401, is_json=False),
    )
    async def read_metrics() -> Response:
        return Response(edge.metrics.text(), headers={"Content-Type": metrics.CONTENT_TYPE})

    return router
