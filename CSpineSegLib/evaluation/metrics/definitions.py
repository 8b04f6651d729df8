"""What every figure means: written beside the figures wherever they are kept."""

DEFINITIONS = {
    "dice": "volumetric: 2 |A and B| / (|A| + |B|) over all voxels of the volume",
    "iou": "volumetric: |A and B| / |A or B|",
    "precision": "share of the candidate's voxels that lie in the reference",
    "recall": "share of the reference's voxels that lie in the candidate",
    "ndsc": (
        "2 TP / (2 TP + k FP + FN) with k = p (1 - r) / ((1 - p) r), p the reference's share of the image's voxels "
        "and r the usual one: 0.017 for bodies, 0.004 for discs (Raina et al. 2023); pooled, the image counts once for "
        "each structure and r is their mean"
    ),
    "surface": (
        "'elements': the pieces of surface that marching cubes puts between the centres of 2 x 2 x 2 neighbouring "
        "voxels, each at the middle of the eight and with its area in mm2; 'voxels': the centres of voxels with one of "
        "their 6 face neighbours outside, all of weight 1; outside the image there is no structure; distances are "
        "Euclidean, in mm with the voxel spacing, to the nearest element of the other surface"
    ),
    "hd_mm": "the largest distance of an element of one surface to the other surface, of both directions",
    "hd95_mm": (
        "the larger of the two directed 95th percentiles: the smallest distance within which 95 % of the surface (by "
        "area) lies; of 'voxels' the percentile with linear interpolation"
    ),
    "assd_mm": "the mean distance over both surfaces together, weighted by area (by number for 'voxels')",
    "nsd_1mm": "the share of both surfaces together that lies within 1 mm of the other surface",
    "nsd_voxel": "the same within one voxel, the larger of the two spacings in the sagittal plane",
    "volume_mm3": "number of voxels x volume of a voxel",
    "volume_difference_mm3": "candidate minus reference",
    "volume_difference_relative": "candidate minus reference, divided by the reference",
    "voxels_added": "voxels of the structure in the candidate and not in the reference",
    "voxels_removed": "voxels of the structure in the reference and not in the candidate",
    "pooled": (
        "voxels and surfaces of all structures added up before a figure is computed; a wrong label is an error, and "
        "distances are null if one mask lacks a structure"
    ),
    "empty_masks": (
        "both empty: Dice, IoU, precision, recall, nDSC and NSD 1 (they agree), relative difference 0, distances null; "
        "one empty: Dice, IoU, nDSC and NSD 0, distances null, recall null without a reference and 0 without a "
        "candidate, precision the other way round, relative difference null without a reference; 'empty' says which, "
        "so that a summary can count such cases apart instead of dropping them"
    ),
}

# Of what is only there when two labellings are compared.
LEVEL_DEFINITIONS = {
    "match": (
        "elements of the same kind (bodies and blocks, or discs) belong together if they share half of the smaller, "
        "or if each shares most with the other; 'matched' is one with one, 'fused in reference' a block with several, "
        "'fused in candidate' several with one, 'split in candidate' one that is no block with several, 'regrouped' "
        "several with several, 'missing' and 'extra' those with nothing on the other side; what belongs together is "
        "compared as one structure"
    ),
    "within_block": "a missing or extra disc inside a fused block of the other mask",
    "level_shift_rate": (
        "share of what belongs together whose level names differ; null unless both labellings are absolute"
    ),
    "shift": "levels from the reference's first name to the candidate's, down is positive",
    "named_dice": "volumetric Dice of what has the same name, a block with all that share a name with it; 0 if alone",
    "detection": (
        "elements one to one, so that their summed IoU is largest, counted from the stated IoU on; F1 = TP / "
        "(TP + FP / 2 + FN / 2); panoptic quality = F1 x mean IoU of the pairs; without any element on both sides 1"
    ),
}
