"""Training the bundled model from nothing but phantoms."""
