"""What dubbing alone can ask: which language is spoken, and does the encoder care?"""
