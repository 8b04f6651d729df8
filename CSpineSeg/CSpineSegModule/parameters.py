"""What the user chose, kept in the scene: Slicer saves it with the scene and gives it back."""

from typing import Annotated

from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper


@parameterNodeWrapper
class Parameters:
    """The choices of the form.

    model, device : names; "" and "auto" for the usual.
    ahead : how many exams to segment in the background.
    blind : open exams as a second reader.
    showDoubt, showDifference, hideMask : what the slice views show.
    """

    model: str = ""
    device: str = "auto"
    ahead: Annotated[int, WithinRange(1, 200)] = 5
    blind: bool = False
    showDoubt: bool = False
    showDifference: bool = False
    hideMask: bool = False
