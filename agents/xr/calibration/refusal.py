"""When no camera comes out of views, and in which words: what was wrong, with figures, and what to do."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from agents.xr.calibration import variety
from agents.xr.calibration.errors import BadViews
from agents.xr.calibration.looking import Cause, Missed
from agents.xr.calibration.view import Sighting
from schemas.cameras import Board

FEWEST = 8
"""Views, unless fewer are wanted: with less, single corners decide."""
DEVIATION = 0.01
"""Of the focal length, as a share of it: what is known less well than that is not known."""

MENDS: dict[Cause, str] = {
    "no board": "show the whole board, flat, evenly lit, with white around it, and check `pattern`, `columns` and `rows` of `board`",
    "few corners": "show more of the board, and nearer",
    "blur": "hold camera and board still, add light, and focus",
    "another board": "show the board that was asked for, or ask with the columns, rows and dictionary of this one",
}


def check_sizes(sightings: Sequence[Sighting], sighting: Sighting) -> None:
    """Raises BadViews where a view has another size than those before it."""
    if sightings and sightings[0].size != sighting.size:
        one, other = ("{}x{}".format(*each.size) for each in (sightings[0], sighting))
        raise BadViews(
            f"the picture {sighting.name} has {other} pixels, and {sightings[0].name} has {one}",
            "take all with one camera, in one resolution, and neither crop nor turn them",
        )


def check_number(sightings: Sequence[Sighting], missed: Sequence[Missed], repeated: int, wanted: int) -> None:
    """Raises BadViews where too few views are good, and says what is wrong with most of the others. `repeated` showed nothing new."""
    fewest = min(FEWEST, wanted)
    if len(sightings) >= fewest:
        return
    looked_at = len(sightings) + len(missed) + repeated
    few = f"{len(sightings)} of {looked_at} views are good: want {fewest} at least"
    if repeated > len(missed):
        raise BadViews(f"{few}; {repeated} show the board where it was before", "move the camera or the board between the views")
    if not missed:
        raise BadViews(few, f"take {fewest - len(sightings)} more, each with the board elsewhere and tilted otherwise")
    cause, count = Counter(each.cause for each in missed).most_common(1)[0]
    example = next(each for each in missed if each.cause == cause)
    raise BadViews(f"{few}; in {count}, as in {example.name}, {example.reason}", MENDS[cause])


def check_variety(sightings: Sequence[Sighting], board: Board) -> None:
    """Raises BadViews where all views are from one angle, or see the board in one part of the picture."""
    turned = variety.turned(sightings, board)
    if turned < variety.TURNED:
        raise BadViews(
            f"all {len(sightings)} views are from one angle: the board is turned by {math.degrees(turned):.0f} degrees between them",
            f"tilt it to all sides by up to 45 degrees: want {math.degrees(variety.TURNED):.0f} between two views at least",
        )
    cells = len(variety.covered(sightings))
    if cells < variety.FEWEST_CELLS:
        all_cells = variety.CELLS**2
        raise BadViews(
            f"the board is in {cells} of the {all_cells} parts of the picture: want {variety.FEWEST_CELLS} at least",
            "bring it near, and into the corners of the picture: elsewhere nothing is known of the lens",
        )


def check_deviation(focal: float, deviation: float) -> None:
    """Raises BadViews where the focal length, in pixels, is known too badly by its standard deviation."""
    if not deviation < DEVIATION * focal:  # nor where it is no number
        raise BadViews(
            f"the focal length comes out as {focal:.0f} pixels, give or take {deviation:.0f}: want {DEVIATION:.0%} of it at most",
            "take more views, nearer, tilted by up to 45 degrees to all sides, and into the corners of the picture",
        )
