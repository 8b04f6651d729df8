"""Loss and Dice over the pixels that count."""

from __future__ import annotations


def dice_and_cross_entropy(logits, labels, weights):
    """Cross-entropy plus one minus the soft Dice of bodies and discs, each over the whole batch.

    logits (B, 3, H, W) float32; labels (B, H, W) int64; weights (B, H, W) float32, 0 where it does not matter.
    """
    from torch.nn.functional import cross_entropy, one_hot

    entropy = (cross_entropy(logits, labels, reduction="none") * weights).sum() / weights.sum().clamp(min=1)
    probability = logits.softmax(1) * weights[:, None]
    truth = one_hot(labels, 3).permute(0, 3, 1, 2).float() * weights[:, None]
    overlap = (probability * truth).sum((0, 2, 3))[1:]
    total = (probability.sum((0, 2, 3)) + truth.sum((0, 2, 3)))[1:]
    return entropy + 1 - ((2 * overlap + 1) / (total + 1)).mean()


def counts(logits, labels, weights):
    """Per class (bodies, discs): pixels in both, and the sum of both sizes, as a (2, 2) tensor; for pooled Dice."""
    import torch

    found = logits.argmax(1)
    counted = weights > 0
    rows = []
    for value in (1, 2):
        a, b = (found == value) & counted, (labels == value) & counted
        rows.append(torch.stack([(a & b).sum(), a.sum() + b.sum()]))
    return torch.stack(rows).double()
