"""Exported files at the pace of audio: players, timings, microphone to headphones."""
