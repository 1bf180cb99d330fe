"""What is heard: several hearings made into utterances with times."""
