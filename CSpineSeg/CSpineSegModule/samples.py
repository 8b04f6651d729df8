"""The sample exam in Slicer's Sample Data module: made on this computer, nothing is downloaded."""

import slicer
from slicer.i18n import tr as _

CATEGORY = "CSpineSeg"


def register():
    """Offer the sample in Slicer's Sample Data module."""
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName="CSpineSegSample",
        customDownloader=open_sample,
        thumbnailFileName=None,
    )


def open_sample(source=None):
    """Show the module with the sample dataset, which is made in a folder that the user chooses."""
    slicer.util.selectModule("CSpineSeg")
    slicer.util.getModuleWidget("CSpineSeg").panels["dataset"].load_sample()
    return _("The sample dataset of CSpineSeg was made on this computer.")
