"""Measures that prove a title's tracks: pure functions, for our dubs and for anyone's."""
