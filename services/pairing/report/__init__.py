"""The report of a run: one HTML file that needs no network, and its numbers as JSON.

``reading`` opens the files, ``measures`` says which figures there are, ``numbers`` counts them, ``listening``,
``lines`` and ``overview`` arrange them for the eye, ``charts`` draws, ``page`` puts everything together.
"""
