"""nnU-Net's models, imported as data and run without nnU-Net."""
