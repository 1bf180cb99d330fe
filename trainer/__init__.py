"""The trainer: from counterfactual pairs to an audiovisual encoder."""
