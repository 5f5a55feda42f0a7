"""Plays a .ts file live: microphone in, headphones out."""

import math
from pathlib import Path

from omegaconf import DictConfig
from rich import print as show

from rave_lite.errors import InputError
from rave_lite.live.cuda import open_player
from rave_lite.live.engine import Engine
from rave_lite.live.player import Controls
from rave_lite.live.sound_card import Card, play, sounddevice, table


def live(config: DictConfig) -> None:
    """Loads the file, opens the sound card, plays until stopped, and prints a report."""
    if config.devices:
        show(table(sounddevice()))
        return
    player, block, note = open_player(Path(config.file).expanduser(), config.compute, config.block)
    if note:
        print(note)
    sample_rate = config.sample_rate or player.sample_rate
    if not sample_rate:
        raise InputError(f"{player.path} does not say its own; sample_rate=... does", where="sample_rate")
    controls = Controls(player)
    if config.dry_wet is not None:
        controls.turn_dry_wet(config.dry_wet)
    if config.gain is not None:
        controls.turn_gain(config.gain)
    card = Card(sounddevice(), config.input, config.output, sample_rate, player.channels)
    engine = Engine(player, block, sample_rate, slack=config.slack, threads=config.threads or 1)
    if config.calibrate is not None:  # after the warm-up, whose noise is nobody's sound
        player.set("learn_source", 1.0)
        player.set("calibrate", config.calibrate)
    if config.envelope is not None:
        player.set("envelope", config.envelope)
    play(engine, controls, card, config.latency, math.inf if config.seconds is None else config.seconds)
