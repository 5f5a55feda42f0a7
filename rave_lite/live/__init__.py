"""Plays exported files in real time: players, timings, microphone to headphones."""
