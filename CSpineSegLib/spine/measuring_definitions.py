"""What each measurement is: its definition, where that comes from, and how sure one has to be to tell it.

All are taken in the middle sagittal plane of the structure. An endplate is the straight line that fits its border
best between a tenth and nine tenths of the depth; a wall is the line that fits the front or back border best between a
fifth and four fifths of the height, so that spurs at the rims do not count; a corner is where both lines meet. "In
front", "in the middle" and "behind" are means over .10 to .25, .425 to .575 and .75 to .90 of the depth, counted from
the front.
"""

from __future__ import annotations

from dataclasses import dataclass

# mm and degrees of standard uncertainty beyond which a value is not told: a quarter of the height of a disc, and as
# much as lordosis differs between the halves of a population (about 12 degrees from the median).
MM, DEGREES = 1.3, 6.0


@dataclass(frozen=True)
class Definition:
    """A quantity.

    Parameters
    ----------
    key : its name in files.
    title, unit : for people; the unit of a ratio is "".
    kind : "body", "disc" or "spine".
    text : the definition.
    source : where it comes from.
    limit : largest standard uncertainty with which it is told, in its unit; None if there is none.
    """

    key: str
    title: str
    unit: str
    kind: str
    text: str
    source: str
    limit: float | None


_SIX = "six-point morphometry (Genant 1993), averaged over bands as the outline gives more than points"
_FROBIN = "Frobin 2002 (corners and midlines, cervical)"
_COBB = "Cobb 1948; for the neck with lower endplates Harrison 2000"

DEFINITIONS = (
    Definition(
        "anterior_height",
        "Anterior height",
        "mm",
        "body",
        "Distance between both endplates in front, across their mean direction. Of a block: from its first upper "
        "to its last lower endplate.",
        _SIX,
        MM,
    ),
    Definition("middle_height", "Middle height", "mm", "body", "The same in the middle.", _SIX, MM),
    Definition("posterior_height", "Posterior height", "mm", "body", "The same behind.", _SIX, MM),
    Definition("depth", "Depth", "mm", "body", "Distance between both walls at half the height.", _FROBIN, MM),
    Definition(
        "wedge_angle",
        "Wedge angle",
        "deg",
        "body",
        "Angle between both endplates, positive if the body is taller in front.",
        "endplates of the same body, as in Frobin 2002",
        DEGREES,
    ),
    Definition(
        "body_volume",
        "Volume",
        "mm3",
        "body",
        "Sum of the areas in all slices times their distance; of C2 with as much of the dens as the mask holds.",
        "Cavalieri's principle; its variance after Gundersen and Jensen 1987",
        None,
    ),
    Definition(
        "disc_anterior_height",
        "Anterior height",
        "mm",
        "disc",
        "Height of the disc in front, across the mean direction of the endplates beside it; the depth runs between"
        " the corners of the bodies, and the disc is as high as its mask.",
        "the three heights of Masuda 2005",
        MM,
    ),
    Definition("disc_middle_height", "Middle height", "mm", "disc", "The same in the middle.", "Masuda 2005", MM),
    Definition("disc_posterior_height", "Posterior height", "mm", "disc", "The same behind.", "Masuda 2005", MM),
    Definition(
        "disc_height_index",
        "Disc height index",
        "",
        "disc",
        "Mean of the three heights of the disc over the mean of the three heights of the bodies above and below; "
        "under C2, which has no upper endplate, over those of the body below alone.",
        "Masuda 2005",
        0.1,
    ),
    Definition(
        "disc_volume",
        "Volume",
        "mm3",
        "disc",
        "As of bodies.",
        "Cavalieri's principle; Gundersen and Jensen 1987",
        None,
    ),
    Definition(
        "anterior_bulge",
        "Anterior bulge",
        "mm",
        "disc",
        "How far the disc stands out in front of the line between the front corners of the bodies beside it, at "
        "most, averaged over 2 mm; negative behind it.",
        "disc space as bounded by the rims without spurs (Fardon 2014)",
        MM,
    ),
    Definition(
        "posterior_bulge",
        "Posterior bulge",
        "mm",
        "disc",
        "The same behind the line between the back corners; in the middle plane only, so a lateral herniation is "
        "not seen.",
        "Fardon 2014",
        MM,
    ),
    Definition(
        "disc_angle",
        "Disc angle",
        "deg",
        "disc",
        "Angle between the endplates beside the disc, positive if it opens to the front.",
        "as Frobin 2002",
        DEGREES,
    ),
    Definition(
        "cobb_c2_c7",
        "C2-C7 Cobb angle",
        "deg",
        "spine",
        "Angle between the perpendiculars to the lower endplates of C2 and C7 (four lines), positive in lordosis.",
        _COBB,
        DEGREES,
    ),
    Definition(
        "segmental_angle",
        "Segmental angle",
        "deg",
        "spine",
        "Angle between the lower endplates of two neighbours, positive in lordosis; those from C2 to C7 add up to "
        "the C2-C7 angle.",
        "segmental Cobb angles of Harrison 2000",
        DEGREES,
    ),
    Definition(
        "listhesis",
        "Listhesis",
        "mm",
        "spine",
        "How far the lower back corner of the upper body lies before the upper back corner of the lower one, along"
        " the mean direction of the endplates between them; negative is a retrolisthesis.",
        "back walls as in White and Panjabi 1975 (3.5 mm is their limit of stability); lines as in Frobin 2002",
        MM,
    ),
    Definition(
        "lordosis_type",
        "Type of curve",
        "mm",
        "spine",
        "The centres of C3 to C6 against the line from the middle of the lower endplate of C2 to the middle of the"
        " upper endplate of C7: lordotic if all lie before it or within 2 mm of it and one by more than 2 mm "
        "before, kyphotic the other way round, sigmoid if some lie more than 2 mm before and some more than 2 mm "
        "behind, otherwise straight. The value is the largest distance, positive before the line.",
        "centroids and 2 mm of Ohara 2006",
        MM,
    ),
    Definition(
        "coronal_angle",
        "Scoliosis indicator",
        "deg",
        "spine",
        "Largest angle between tangents, in the coronal plane of the neck, of a smooth curve (a cubic) through "
        "the centres of the bodies. Lying, and not a Cobb angle; 10 degrees are where scoliosis begins.",
        "10 degrees: Cobb's threshold as the Scoliosis Research Society uses it; the curve is ours",
        DEGREES,
    ),
)

_BY_KEY = {definition.key: definition for definition in DEFINITIONS}


def definition(key: str) -> Definition:
    """The definition of a measurement; KeyError for an unknown key."""
    return _BY_KEY[key]
