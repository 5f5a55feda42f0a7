"""Whether a training window is long enough."""

from itertools import count

from rave_lite.errors import InputError
from rave_lite.model import RAVE
from rave_lite.training.losses import SpectralDistance


def check_window(model: RAVE, distance: SpectralDistance, bands_distance: SpectralDistance, window: int) -> str | None:
    """A warning about a window shorter than the receptive field, or None.

    Raises InputError, naming a window that works, when this one is no multiple of hop or too short for the STFTs.
    """
    def long_enough(samples: int) -> bool:  # `aligned` may drop a quarter
        return all(n - n // 4 > max(d.n_fft) // 2
                   for n, d in ((samples, distance), (samples // model.pqmf.n_bands, bands_distance)))

    shortest = next(n for n in count(model.hop, model.hop) if long_enough(n))
    if window % model.hop or window < shortest:
        need = max(shortest, -(-window // model.hop) * model.hop)
        raise InputError(f"{window} samples; this model needs a multiple of its hop, {model.hop}, and "
                         f"{shortest} at least for the STFTs of its losses: say {need}", where="data.window")
    if window < model.receptive_field:
        return (f"data.window: {window} samples are fewer than the receptive field, {model.receptive_field}: the model "
                f"hears less of the past in training than when it plays")
    return None
