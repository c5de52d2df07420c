"""What the trails of vehicles and trips have in common: their parameters, and the answer in the format asked for."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Response
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter
from litestar.response import Stream

from appliance.trail_formats import MEDIA_TYPES, Format, Trail, geojson, written
from appliance.trails import Track

As = Annotated[Format, QueryParameter(name="format", description="geojson; or a file to keep: gpx (1.1) or csv")]
WithPoints = Annotated[bool, QueryParameter(name="points", description="false: the line alone (GeoJSON)")]
ToleranceM = Annotated[
    float | None,
    QueryParameter(
        name="tolerance_m",
        ge=0,
        le=100_000,
        description="leave out fixes that lie within so many metres of the line between the others",
    ),
]

RESPONSES = {
    200: ResponseSpec(Trail, media_type=MEDIA_TYPES["geojson"], description="The trail; GeoJSON unless asked otherwise")
}


def answer(track: Track, format: Format, *, points: bool) -> Response[Any] | Stream:
    """The trail in its format; what is no GeoJSON comes as a file to keep."""
    if format == "geojson":
        return Response(geojson(track, points=points), media_type=MEDIA_TYPES[format])
    headers = {"Content-Disposition": f'attachment; filename="{track.name}.{format}"'}
    return Stream(written(track, format), media_type=MEDIA_TYPES[format], headers=headers)
