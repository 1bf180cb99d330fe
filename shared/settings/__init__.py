"""Every setting: models, kinds of rules, and the bounds of each field."""
