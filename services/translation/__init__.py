"""Fourth stage, per language: lines translated to fit the time they have."""
