"""From an image to a mask: packaged models, their networks and preprocessing, devices, prediction."""
