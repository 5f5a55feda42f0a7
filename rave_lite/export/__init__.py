"""From a trained model to the file that live hosts play, and the proof that both are the same."""
