"""Batches for a training run, so that a GPU never waits for them (lesson 21).

Three things would hold it up, one after the other, and none is left in a step. Decoding: it was
done once (`mirdl.datasets.pack`). Copying floats: crops stay int16 until they are on the device,
cut there where the pack fits into its memory, otherwise cut a few steps ahead by a thread, in
pinned memory, and copied while the GPU computes. Waiting: a copy from ordinary memory stops the
processor until the GPU has done all that was asked before; here the order of a lap and the places
of its crops go over once a lap, in pinned memory, and a step only takes its rows of them.
"""

import numpy as np
import torch

from mirdl.datasets.ahead import work_ahead
from mirdl.datasets.frames import FrameTargets

#: Batches that a thread cuts ahead for a GPU whose memory does not hold the pack.
AHEAD = 3


def to_device(audio, device):
    """Move decoded audio to the GPU where it takes at most half of the free memory.

    Parameters
    ----------
    audio : Pack
    device : torch.device

    Returns
    -------
    Pack
    """
    if device.type != "cuda" or 2 * audio.n_bytes > torch.cuda.mem_get_info(device)[0]:
        return audio
    return audio.to(device)


class Feed:
    """Random crops and their targets, in the order of a training run.

    A lap is one pass over all usable clips, in an order that is a function of (seed, lap); what
    does not fill a batch is left out. Step k of a run is in lap k // steps_per_lap, and crops are
    those of `Pack.crops` with the lap as epoch; with several views a lap has as many epochs.
    Whatever the device, the number of processes, the batches ahead, or where a run goes on, step k
    hears the same.

    Parameters
    ----------
    audio : Pack
    targets : numpy.ndarray (n_clips, ...) or FrameTargets
        The second are looked up for every crop, on the processor.
    batch_size : int
        Of all processes together.
    n_samples : int
        Length of the crops.
    seed : int
    device : torch.device
        Where the batches are wanted.
    rank, n_processes : int
        Of every batch this process gets row rank, rank + n_processes, …
    ahead : int, optional
        Batches that a thread cuts ahead. Default: some where the crops must be copied to a GPU.
    views : int
        Crops of every clip of a batch: first one of each clip, then another of each, and so on.
        With more than one, targets are those of clips.

    Attributes
    ----------
    steps_per_lap : int
    """

    def __init__(
        self,
        audio,
        targets,
        batch_size,
        n_samples,
        seed,
        device="cpu",
        rank=0,
        n_processes=1,
        ahead=None,
        views=1,
    ):
        self.audio, self.batch_size, self.n_samples, self.seed = audio, batch_size, n_samples, seed
        self.device, self.rank, self.n_processes = torch.device(device), rank, n_processes
        self.views = views
        framewise = isinstance(targets, FrameTargets)
        self.targets = targets if framewise else torch.from_numpy(targets).to(self.device)
        self.usable = np.flatnonzero(audio.usable)
        self.steps_per_lap = len(self.usable) // batch_size
        copies = self.device.type == "cuda" and audio.device.type == "cpu"
        self.ahead = AHEAD * copies if ahead is None else ahead
        self.stream = torch.cuda.Stream(self.device) if copies else None

    def batches(self, first, last):
        """Yield (crops, targets) of the steps from ``first`` up to, without, ``last``.

        Close it when the run ends early: a thread may be at work.

        Yields
        ------
        crops : torch.Tensor, float32 (views * batch, n_samples)
        targets : torch.Tensor (views * batch, ...)

        Raises
        ------
        AudioError, OSError
            What stopped the thread that cuts ahead, at the step whose batch it did not cut.
        """
        steps = self._steps(first, last)
        cut = self._cut_ahead(steps) if self.ahead else ((c, self._cut(*s)) for c, *s in steps)
        for step, (clips, (crops, arrival)) in enumerate(cut, first):
            if arrival:  # the GPU waits for it, not the processor
                stream = torch.cuda.current_stream(self.device)
                stream.wait_event(arrival)
                crops.record_stream(stream)
            heard = self._heard(clips, step // self.steps_per_lap)
            yield self.audio.to_float(crops, self.n_samples), heard

    def _heard(self, clips, lap):
        """Return the targets of some clips, or what is true in the frames of their crops."""
        if not isinstance(self.targets, FrameTargets):
            return self.targets[clips]
        clips = clips.cpu().numpy()
        begun = self.audio.offsets(clips, self.n_samples, self.seed, lap)
        return self.targets.at(clips, begun[:, None] + self.targets.times).to(self.device)

    def _steps(self, first, last):
        """Yield (clips, starts, lengths) of each step: the clips on the device of the targets."""
        while first < last:
            lap, position = divmod(first, self.steps_per_lap)
            clips, starts, lengths = self._lap(lap)
            end = min(position + last - first, self.steps_per_lap)
            for i in range(position, end):
                yield clips[i], starts[i], None if lengths is None else lengths[i]
            first += end - position

    def _lap(self, lap):
        """Draw order and places of a lap, (steps_per_lap, views times the share of a batch)."""
        order = np.random.default_rng([self.seed, lap]).permutation(self.usable)
        clips = order[: self.steps_per_lap * self.batch_size].reshape(self.steps_per_lap, -1)
        clips = clips[:, self.rank :: self.n_processes]
        views = range(self.views * lap, self.views * (lap + 1))
        drawn = [self.audio.spans(clips, self.n_samples, self.seed, view) for view in views]
        starts, lengths = np.concatenate([starts for starts, _ in drawn], axis=1), drawn[0][1]
        if lengths is not None:
            lengths = _move(np.tile(lengths, self.views), self.audio.device)
        clips = np.tile(clips, self.views)
        return _move(clips, self.device), _move(starts, self.audio.device), lengths

    def _cut_ahead(self, steps):
        """Yield (clips, what `_cut` returns) of each step; a thread is some steps ahead."""
        for (clips, *_), cut in work_ahead(lambda step: self._cut(*step[1:]), steps, 1, self.ahead):
            yield clips, cut

    def _cut(self, starts, lengths):
        """Return int16 crops on their way to the device, and the event of their arrival."""
        if not self.stream:
            return self.audio.gather(starts, lengths, self.n_samples).to(self.device), None
        with torch.cuda.stream(self.stream):
            crops = self.audio.gather(starts, lengths, self.n_samples).pin_memory()
            return crops.to(self.device, non_blocking=True), self.stream.record_event()


def _move(array, device):
    """Copy an array to a device; to a GPU without waiting for it."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
