"""The model zoo: every network by its name, from audio to logits.

One file per family, in the order of the lessons. A family is imported when one of its models is
built, so ``import mirdl.models`` costs nothing.
"""

import hashlib
import importlib
import inspect
import json

from mirdl.errors import CheckpointError, MirdlError
from mirdl.paths import write_atomically

#: Where each network lives: name → family file and class.
NETWORKS = {
    "dieleman_spectrogram": "cnn1d.DielemanSpectrogram",
    "spotify_cnn": "cnn1d.SpotifyCNN",
    "local_cnn": "cnn1d.LocalCNN",
    "multi_level_multi_scale": "cnn1d.MultiLevelMultiScale",
    "fcn": "cnn2d.FCN",
    "fcn4": "cnn2d.FCN4",
    "fcn5": "cnn2d.FCN5",
    "choi_cnn": "cnn2d.ChoiCNN",
    "compact_cnn": "cnn2d.CompactCNN",
    "vgg": "cnn2d.VGG",
    "short_chunk_cnn": "cnn2d.ShortChunkCNN",
    "short_chunk_res": "cnn2d.ShortChunkRes",
    "black_box": "rhythm.BlackBox",
    "time": "rhythm.Time",
    "frequency": "rhythm.Frequency",
    "time_frequency": "rhythm.TimeFrequency",
    "o_net": "rhythm.ONet",
    "p_net": "rhythm.PNet",
    "o_net_p_net": "rhythm.ONetPNet",
    "timbre_cnn": "timbre.TimbreCNN",
    "small_rectangular": "timbre.SmallRectangular",
    "irmas_single": "timbre.IrmasSingle",
    "irmas_multi": "timbre.IrmasMulti",
    "han2016": "timbre.Han2016",
    "jingju_phoneme": "timbre.JingjuPhoneme",
    "musicnn_timbre": "timbre.MusicnnTimbre",
    "musicnn": "musicnn.Musicnn",
    "spectrogram_at_scale": "musicnn.SpectrogramAtScale",
    "rnn": "recurrent.RNN",
    "crnn": "recurrent.CRNN",
    "k1c2": "recurrent.K1C2",
    "k2c1": "recurrent.K2C1",
    "k2c2": "recurrent.K2C2",
    "self_attention": "attention.SelfAttention",
    "dieleman_raw": "waveform.DielemanRaw",
    "frame_level_many_shapes": "waveform.FrameLevelManyShapes",
    "sample_cnn": "sample_level.SampleCNN",
    "sample_cnn_se": "sample_level.SampleCNNSE",
    "waveform_at_scale": "waveform.WaveformAtScale",
    "harmonic_cnn": "harmonic.HarmonicCNN",
    "sinc_net": "harmonic.SincNet",
    "vgg_small": "few_shot.VGGSmall",
    "timbre_small": "few_shot.TimbreSmall",
    "sb_cnn": "few_shot.SBCNN",
    "prototypical": "few_shot.Prototypical",
    "context_dnn": "framewise.ContextDNN",
    "frame_cnn": "framewise.FrameCNN",
    "onset_cnn": "framewise.OnsetCNN",
    "frame_blstm": "framewise.FrameBLSTM",
}
#: Where each baseline lives, a feature and a classifier: name → file and function. First those on
#: features made by hand (lesson 03), then on learnt (lesson 06) and on random ones (lesson 17).
BASELINES = {
    "majority": "baselines.majority",
    "knn_tempo": "baselines.knn_tempo",
    "knn": "baselines.knn",
    "logistic_regression": "baselines.logistic_regression",
    "svm_linear": "baselines.svm_linear",
    "svm_rbf": "baselines.svm_rbf",
    "boosted_trees": "baselines.boosted_trees",
    "gmm": "baselines.gmm",
    "codebook": "baselines.codebook",
    "learned_features": "learned_features.learned_features",
    "deep_belief_network": "learned_features.deep_belief_network",
    "random_features": "random_features.random_features",
}


def available():
    """Return the names that `build` knows: the baselines, then the networks."""
    return [*BASELINES, *NETWORKS]


def build(name, n_outputs=50, **overrides):
    """Build a model by its name.

    Parameters
    ----------
    name : str
        One of `available`.
    n_outputs : int
        Number of logits: tags, classes or regression targets. Baselines learn it from the data.
    **overrides
        What differs from the published network. All take ``width=`` (a factor on all channels)
        and ``for_seconds=`` (length of the audio that the network sees); those that do not read
        the waveform ``front_end=`` (a preset of `mirdl.features`, a dict of its settings with
        "preset", or a module). The class says what else.

    Returns
    -------
    Tagger or Baseline
        A network maps audio, (batch, n_samples) float32 in [-1, 1] at ``model.sample_rate``, to
        logits, (batch, n_outputs). ``model.n_samples`` is None where any length will do.

    Raises
    ------
    MirdlError
        If there is no such model.
    """
    if name in BASELINES:
        make = baseline(name)
        if "seed" not in inspect.signature(make).parameters:  # it draws no random numbers
            overrides.pop("seed", None)
        return make(**overrides)
    model = network(name)(n_outputs, **overrides)
    model.recipe = {"name": name, "n_outputs": n_outputs, "overrides": overrides}
    return model


def baseline(name):
    """Return the function that makes a baseline, which says what `build` can override."""
    return _find(BASELINES[name])


def network(name):
    """Return the class of a network, which says what `build` can override.

    Raises
    ------
    MirdlError
        If there is no such network.
    """
    if name not in NETWORKS:
        raise MirdlError(f"no model is called {name!r}; there are: {', '.join(available())}")
    return _find(NETWORKS[name])


def n_parameters(model):
    """Return the number of trainable parameters, the number that the papers print."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def save(model, path, tags=(), task="multilabel"):
    """Save a network as one safetensors file that knows how to rebuild itself.

    Parameters
    ----------
    model : Tagger
        A network made by `build`.
    path : path-like
        File to write, atomically.
    tags : sequence of str
        Names of the outputs, in their order.
    task : str
        "multilabel", "multiclass" or "regression": how to read the logits.

    Raises
    ------
    MirdlError
        If the network was not made by `build`, or an override cannot be written as JSON.
    """
    from safetensors.torch import save as to_bytes

    if getattr(model, "recipe", None) is None:
        raise MirdlError("only networks made by mirdl.models.build can be saved and loaded")
    # safetensors stores row-major arrays; `build` restores the layout channels_last
    state = model.state_dict()
    weights = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    recipe = {**model.recipe, "tags": list(tags), "task": task, "sha256": _digest(weights)}
    try:
        metadata = {"mirdl": json.dumps(recipe)}
    except TypeError as error:
        raise MirdlError(f"cannot save a network with this override: {error}") from error
    write_atomically(path, to_bytes(weights, metadata))


def load(path):
    """Load a network written by `save`.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    Tagger
        In evaluation mode, with the attributes ``tags`` (list of str) and ``task``.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or no saved mirdl network.
    """
    import safetensors

    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        recipe = json.loads(metadata["mirdl"])
    except FileNotFoundError as error:
        raise CheckpointError(path, "no such file") from error
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(path, f"damaged, or no safetensors file ({error})") from error
    except (KeyError, json.JSONDecodeError) as error:
        raise CheckpointError(path, "not written by mirdl.models.save") from error
    if recipe.get("sha256") != _digest(weights):
        raise CheckpointError(path, "damaged: these are not the weights that were saved")
    try:
        model = build(recipe["name"], recipe["n_outputs"], **recipe["overrides"])
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, ValueError, MirdlError) as error:
        raise CheckpointError(path, f"does not fit this version of mirdl: {error}") from error
    model.tags, model.task = recipe["tags"], recipe["task"]
    return model.eval()


def _find(place):
    family, name = place.split(".")
    return getattr(importlib.import_module(f"mirdl.models.{family}"), name)


def _digest(weights):
    """Hash names and bytes of a state dict: safetensors itself does not notice a flipped bit."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].reshape(-1).numpy().tobytes())
    return digest.hexdigest()
