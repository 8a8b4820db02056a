"""Which cells of the spectrogram moved an output: saliency, integrated gradients (lesson 19).

The spectrogram is that of the network's own front end, so that every number belongs to a band and
a frame that can be looked at, and be heard (`mirdl.explain.auralisation`).
"""

import copy
import warnings

import torch

from mirdl.errors import MirdlError
from mirdl.features import FrontEnd


def captum():
    """Import captum's methods: a second, and in a notebook a warning about progress bars."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from captum import attr
    return attr


def behind_front_end(model):
    """Return what is left of a network without its front end: from log-mel spectrogram to logits.

    Parameters
    ----------
    model : Tagger
        One whose front end is a `FrontEnd`.

    Returns
    -------
    nn.Module
        From (batch, n_mels, n_frames) to (batch, n_outputs), in evaluation mode. The layers are
        those of `model`, not copies.

    Raises
    ------
    MirdlError
        If the network reads the waveform, or has a front end of its own kind.
    """
    if not isinstance(model.front_end, FrontEnd):
        kind = type(model).__name__
        raise MirdlError(f"{kind} has no mel spectrogram whose cells could get the credit")
    passing = copy.copy(model.front_end)
    passing.forward = lambda spectrogram: spectrogram
    network = copy.copy(model.eval())
    network._modules = {**model._modules, "front_end": passing}
    return network


def spectrogram(model, waveform):
    """Return what a network's front end makes of one window: float32 (1, n_mels, n_frames).

    Parameters
    ----------
    model : Tagger
    waveform : array or torch.Tensor, float (n_samples,)
        At the network's sample rate.
    """
    with torch.no_grad():
        return model.front_end(torch.as_tensor(waveform, dtype=torch.float32)[None])


def silence(model, n_samples):
    """Return the spectrogram of as many zeros: the baseline of `integrated_gradients`."""
    return spectrogram(model, torch.zeros(n_samples))


def saliency(model, waveform, output):
    r"""Return how fast a logit changes with every cell: :math:`\partial z_k / \partial S`.

    [Simonyan, Vedaldi & Zisserman, ICLR workshop 2014]

    Parameters
    ----------
    model : Tagger
        With a mel spectrogram.
    waveform : array or torch.Tensor, float (n_samples,)
        One window of the network.
    output : int
        Which logit.

    Returns
    -------
    array, float32 (n_mels, n_frames)
        With its sign; a picture of saliency shows its magnitude.
    """
    method = captum().Saliency(behind_front_end(model))
    found = method.attribute(spectrogram(model, waveform).requires_grad_(), output, abs=False)
    return found.detach()[0].numpy()


def integrated_gradients(model, waveform, output, n_steps=32, batch_size=4):
    r"""Return what every cell adds to a logit on the way from silence to the music.

    .. math:: A = (S - S_0) \odot \int_0^1 \nabla_S\, z_k(S_0 + \alpha (S - S_0))\, d\alpha

    The cells add up to :math:`z_k(S) - z_k(S_0)`, up to the error of `n_steps` points of Gauss and
    Legendre. [Sundararajan, Taly & Yan, ICML 2017, Eq. 1 and Proposition 1; by captum]

    Parameters
    ----------
    model, waveform, output
        As in `saliency`.
    n_steps : int
        Spectrograms between silence and the music.
    batch_size : int
        Of them at a time.

    Returns
    -------
    array, float32 (n_mels, n_frames)
        In logits: positive where sound speaks for the tag.
    """
    method = captum().IntegratedGradients(behind_front_end(model))
    found = method.attribute(
        spectrogram(model, waveform),
        silence(model, len(waveform)),
        target=output,
        n_steps=n_steps,
        internal_batch_size=batch_size,
    )
    return found.detach()[0].float().numpy()


def randomised(model, seed=0):
    """Return a copy of a network whose layers are drawn anew, for a check of explanations.

    A picture that looks the same for it explains the input, not the network
    [Adebayo et al., NeurIPS 2018].

    Parameters
    ----------
    model : nn.Module
    seed : int
    """
    network = copy.deepcopy(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in network.modules():
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
    return network.eval()
