"""Vertebral body and disc segmentation of cervical spine MRI, for 3D Slicer, Python and the shell.

Research software, not a medical device. Importing this package loads NumPy at most; everything heavier
(torch, nibabel, pandas, slicer) is imported by the function that uses it.
"""

__version__ = "0.1.0"
