"""A bias of known place and size, planted into made predictions, so that a finding can be told from a false alarm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Planted:
    """What is planted: predictions of one structure lose boundary in one group, and in no other.

    Parameters
    ----------
    group, value : column and group, as `groups.by` calls them.
    structure : "bodies" or "discs".
    older_than : years; who is older is harmed, who is over 89 counts as `oldest`.
    share, share_oldest : share of the structure's predicted voxels that are lost, just above `older_than` and from
        `oldest` on; it rises linearly in between.
    dice : about how much Dice a good prediction loses by it in the mean of the group. A prediction that loses the
        share s loses about s / 2, since 2 (1 - s) / (2 - s) = 1 - s / 2 + ...
    """

    group: str
    value: str
    structure: str
    older_than: float
    oldest: float
    share: float
    share_oldest: float
    dice: float

    def lost(self, age: np.ndarray | float | None) -> np.ndarray | float:
        """Share of the structure's voxels that is lost at an age (years; NaN or None, unknown, loses nothing)."""
        years = np.asarray(np.nan if age is None else age, float)
        along = np.clip((years - self.older_than) / (self.oldest - self.older_than), 0, 1)
        share = np.where(years > self.older_than, self.share + along * (self.share_oldest - self.share), 0.0)
        return share if share.ndim else float(share)


# Nothing is planted by sex, race, ethnicity, manufacturer or field strength, nor in the vertebral bodies.
PLANTED = Planted(
    group="age",
    value=">60",
    structure="discs",
    older_than=60,
    oldest=90,
    share=0.045,
    share_oldest=0.09,
    dice=0.03,
)


def lose_boundary(
    labels: np.ndarray, label: int, share: float, rng: np.random.Generator, axes: tuple[int, ...] = (0, 1, 2)
) -> np.ndarray:
    """A copy of a label image in which a structure has lost a share of its voxels, all from its boundary.

    Parameters
    ----------
    labels : label image, any axes; `label` is the structure's value, and what is lost becomes background.
    share : 0 to 1, of the structure's voxels; if the boundary is less than that, all of the boundary goes.
    rng : which boundary voxels go is drawn.
    axes : along which a voxel has neighbours; the two in-plane axes make the loss one within the slices.
    """
    inside = labels == label
    padded = np.pad(inside, 1)
    middle = (slice(1, -1),) * labels.ndim
    deep = inside.copy()
    for axis in axes:
        for step in (-1, 1):
            deep &= np.roll(padded, step, axis)[middle]
    edge = np.flatnonzero(inside & ~deep)
    count = min(round(share * np.count_nonzero(inside)), edge.size)
    result = labels.copy()
    result.reshape(-1)[rng.choice(edge, count, replace=False)] = 0
    return result
