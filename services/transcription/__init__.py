"""Third stage: what is said, when and by whom; what dubs and backgrounds sound like to a recogniser."""
