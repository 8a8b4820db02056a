"""Few data: small networks, and prototypes in a learned space (lesson 16).

Pons, Serrà and Serra, ICASSP 2019 (thesis chapter 6): sound events and scenes from 1 to 100
examples a class, patches of 128 mel bands by 128 frames (3 s). All train by plain gradient
descent at a rate of 0.1, gradients clipped at a norm of 5; the first three in batches of 256, for
200 epochs, with an L2 penalty of 0.001. The Glorot weights are those of the authors' code.
"""

from math import prod

import torch
from torch import nn
from torch.nn import functional as F

from mirdl.errors import MirdlError
from mirdl.models.blocks import ConvBlock, Head, Tagger, fitting, initialise, scaled, stack


class VGGSmall(Tagger):
    """Five small convolutions, few filters [ICASSP 2019; thesis section 6.3.1: VGG].

    Batch normalisation of the input; five times 3 x 3 convolution, ELU, batch normalisation and
    2 x 2 max-pooling; dropout and a dense layer. 42,764 parameters with 10 classes, 45,329 with
    15; the thesis rounds to 50k. With 128 filters it is the embedding of `Prototypical`.

    Parameters
    ----------
    n_outputs : int
    front_end : str or FrontEnd
        The published one is 128 mel bands of 44.1 kHz audio, window and hop 1,024.
    width : float
        Factor on the filters.
    for_seconds : float, optional
        Length of the audio in place of `n_frames`; the dense layer grows with it. Pools that do
        not fit are shortened by `shrink_pools`.
    n_frames : int
        The paper's 128 frames are 3 s.
    filters : int
        Of each layer.
    """

    def __init__(
        self,
        n_outputs=10,
        front_end="mel128_44k",
        width=1,
        for_seconds=None,
        n_frames=128,
        filters=32,
    ):
        super().__init__(n_outputs, front_end, for_seconds, n_frames=n_frames)
        pools = fitting([(2, 2)] * 5, self)
        (filters,) = scaled([filters], width)
        self.norm = nn.BatchNorm2d(1)
        self.blocks = stack(1, [filters] * 5, (3, 3), pools, order="CABP", activation=nn.ELU)
        band_pools, frame_pools = zip(*pools, strict=True)
        bands, frames = (
            self.front_end.n_mels // prod(band_pools),
            self.n_frames // prod(frame_pools),
        )
        self.head = Head(filters * bands * frames, n_outputs)
        initialise(self.blocks, nn.init.xavier_uniform_)
        initialise(self.head, nn.init.xavier_uniform_)
        self.to(memory_format=torch.channels_last)

    def forward(self, audio):
        x = self.front_end(audio)  # (batch, 128, 128)
        x = self.norm(x.unsqueeze(1))  # (batch, 1, 128, 128)
        x = self.blocks(x)  # (batch, 32, 4, 4)
        return self.head(x.flatten(1))  # (batch, n_outputs)


class TimbreSmall(Tagger):
    """One tall filter a class [ICASSP 2019; thesis section 6.3.1: TIMBRE].

    Batch normalisation of the input, one linear convolution of 108 bands by 7 frames; the
    maximum of a map is the logit. 7,572 parameters with 10 classes, 11,357 with 15; the thesis
    rounds to 10k.

    Parameters
    ----------
    n_outputs : int
        Number of classes, and so of filters.
    front_end : str or FrontEnd
        As in `VGGSmall`. Filters span 27 of 32 bands: 108 of 128, 81 of 96.
    width : float
        Without effect: the number of filters is that of the classes.
    for_seconds, n_frames
        As in `VGGSmall`; the parameters are the same for any length.
    """

    any_length = True

    def __init__(
        self, n_outputs=10, front_end="mel128_44k", width=1, for_seconds=None, n_frames=128
    ):
        super().__init__(n_outputs, front_end, for_seconds, n_frames=n_frames)
        bins = round(108 / 128 * self.front_end.n_mels)
        self.norm = nn.BatchNorm2d(1)
        self.conv = ConvBlock(1, n_outputs, (bins, 7), order="C", padding="valid")
        initialise(self.conv, nn.init.xavier_uniform_)
        self.to(memory_format=torch.channels_last)

    def forward(self, audio):
        x = self.front_end(audio)  # (batch, 128, 128)
        x = self.norm(x.unsqueeze(1))  # (batch, 1, 128, 128)
        x = self.conv(x)  # (batch, n_outputs, 21, 122)
        return x.amax(dim=(2, 3))  # (batch, n_outputs)


class SBCNN(Tagger):
    """Three 5 x 5 convolutions and two dense layers [Salamon & Bello 2017; thesis section 6.2.2].

    24, 48 and 48 filters, no padding, ReLU, max-pooling over 4 frames and 2 bands after the first
    two; dropout before both dense layers. 241,434 parameters with 10 classes, 241,759 with 15;
    the thesis rounds to 250k. Two thirds of them are the dense layer of 64 units.

    Parameters
    ----------
    n_outputs, front_end, n_frames
        As in `VGGSmall`.
    width : float
        Factor on filters and hidden units.
    for_seconds : float, optional
        Length of the audio; the first dense layer grows with it. Pools that do not fit are
        shortened.
    """

    def __init__(
        self, n_outputs=10, front_end="mel128_44k", width=1, for_seconds=None, n_frames=128
    ):
        super().__init__(n_outputs, front_end, for_seconds, n_frames=n_frames)
        bands, band_pools = _valid(self.front_end.n_mels, [2, 2])
        frames, frame_pools = _valid(self.n_frames, [4, 4])
        n1, n2, n3, hidden = scaled([24, 48, 48, 64], width)
        pool1, pool2 = zip(band_pools, frame_pools, strict=True)
        self.block1 = ConvBlock(1, n1, (5, 5), pool1, order="CAP", padding="valid")
        self.block2 = ConvBlock(n1, n2, (5, 5), pool2, order="CAP", padding="valid")
        self.block3 = ConvBlock(n2, n3, (5, 5), order="CA", padding="valid")
        self.head = Head(n3 * bands * frames, n_outputs, order="DHAD", hidden=hidden)
        for part in (self.block1, self.block2, self.block3, self.head):
            initialise(part, nn.init.xavier_uniform_)
        self.to(memory_format=torch.channels_last)

    def forward(self, audio):
        x = self.front_end(audio)  # (batch, 128, 128)
        x = self.block1(x.unsqueeze(1))  # (batch, 24, 62, 31)
        x = self.block2(x)  # (batch, 48, 29, 6)
        x = self.block3(x)  # (batch, 48, 25, 2)
        return self.head(x.flatten(1))  # (batch, n_outputs)


def _valid(size, pools):
    """Return what three convolutions over 5 leave of an axis with two pools between, and the pools.

    Pools that are too long are shortened, the largest first.
    """
    while True:
        left = size - 4
        for pool in pools:
            left = left // pool - 4
        if left > 0:
            return left, pools
        if max(pools) == 1:
            raise MirdlError(f"sb_cnn needs at least 13 bands and 13 frames, not {size}")
        pools[pools.index(max(pools))] -= 1


#: From embeddings (n, size) and prototypes (k, size) to distances (n, k).
DISTANCES = {
    "euclidean": lambda x, y: (x.unsqueeze(1) - y).square().sum(dim=2),
    "cosine": lambda x, y: 1 - F.normalize(x, dim=1) @ F.normalize(y, dim=1).T,
    "mean_square": lambda x, y: (x.unsqueeze(1) - y).square().mean(dim=2),
}


class Prototypical(Tagger):
    """Prototypical network [Snell et al., NIPS 2017; ICASSP 2019; thesis section 6.3.2].

    A network embeds audio; a class is the mean of its embedded examples, and the logits of a clip
    are minus its distances to these prototypes (Eq. 6.1 and 6.2), so that softmax gives
    probabilities. The paper's embedding is `VGGSmall` with 128 filters and 10 outputs: 613,388
    parameters, whatever the number of classes.

    The authors' procedure: the support, up to 5 random patches a class, is drawn once and stays;
    every update draws 5 query patches a class from the same few clips, and `episode_loss` goes
    down by plain gradient descent (rate 0.1, gradients clipped at a norm of 5) until the accuracy
    on the training clips has not risen for 200 epochs. There is no validation set. Their code
    divides the squared distance by the 10 dimensions, "mean_square"; "euclidean" is the sum, as in
    Snell et al., with gradients 10 times as large. It also normalises each frame of the input on
    its own (254 parameters more), unlike their other nets.

    Before `fit_prototypes` all prototypes are zero, and so every class is as likely.

    Parameters
    ----------
    n_outputs : int
        Number of classes.
    front_end, width, for_seconds, n_frames, filters
        Of the embedding, as in `VGGSmall`.
    embedding_size : int
    distance : {"euclidean", "cosine", "mean_square"}
        Squared Euclidean (the paper's, and better there); 1 minus the cosine; the first divided by
        the dimensions.
    embedding : Tagger, optional
        Another network to embed audio, such as a pre-trained one [thesis section 6.3.3]; its
        outputs are the embedding, and the settings above are its own. A model with one cannot be
        saved by `mirdl.models.save`.

    Attributes
    ----------
    prototypes : torch.Tensor, (n_outputs, embedding_size)
        Saved with the weights.
    """

    def __init__(
        self,
        n_outputs=10,
        front_end="mel128_44k",
        width=1,
        for_seconds=None,
        n_frames=128,
        filters=128,
        embedding_size=10,
        distance="euclidean",
        embedding=None,
    ):
        if distance not in DISTANCES:
            raise MirdlError(f"distance {distance!r}: one of {', '.join(DISTANCES)}")
        if embedding is None:
            embedding = VGGSmall(embedding_size, front_end, width, for_seconds, n_frames, filters)
        super().__init__(
            n_outputs, None, n_samples=embedding.n_samples, sample_rate=embedding.sample_rate
        )
        self.embedding = embedding
        # past nn.Module's registry: a second name for its buffers could not be saved
        self.__dict__["front_end"] = embedding.front_end
        self.distance = distance
        self.any_length = embedding.any_length
        self.register_buffer("prototypes", torch.zeros(n_outputs, embedding.n_outputs))

    def forward(self, audio):
        x = self.embedding(audio)  # (batch, embedding_size)
        return -DISTANCES[self.distance](x, self.prototypes)  # (batch, n_outputs)

    @torch.no_grad()
    def fit_prototypes(self, audio, labels, batch_size=32):
        """Set the prototypes to the mean embeddings of labelled examples, in evaluation mode.

        Parameters
        ----------
        audio : torch.Tensor, (n, n_samples)
        labels : torch.Tensor of int, (n,)
            From 0; every class up to the largest needs an example. There may be more or fewer
            classes than before: prototypes of sounds that the embedding was not trained on.
        batch_size : int

        Returns
        -------
        Prototypical
            This network.

        Raises
        ------
        MirdlError
            If a class has no example.
        """
        counts = torch.bincount(labels)  # (n_classes,)
        if (counts == 0).any():
            missing = (counts == 0).nonzero().flatten().tolist()
            raise MirdlError(f"no example of class {missing[0]}: a prototype is a mean of examples")
        training = self.training
        self.eval()
        x = torch.cat([self.embedding(clips) for clips in audio.split(batch_size)])
        self.train(training)
        sums = x.new_zeros(len(counts), x.shape[1]).index_add_(0, labels, x)
        self.prototypes = sums / counts.unsqueeze(1)  # (n_classes, embedding_size)
        self.n_outputs = len(counts)
        if hasattr(self, "recipe"):
            self.recipe["n_outputs"] = self.n_outputs
        return self

    def episode(self, support, query):
        """Return the logits of queries for the classes of a support, both embedded now.

        Parameters
        ----------
        support : torch.Tensor, (n_classes, n_examples, n_samples)
        query : torch.Tensor, (n_queries, n_samples)

        Returns
        -------
        torch.Tensor, (n_queries, n_classes)
        """
        x = self.embedding(support.flatten(0, 1))  # (n_classes * n_examples, embedding_size)
        prototypes = x.unflatten(0, support.shape[:2]).mean(dim=1)  # (n_classes, embedding_size)
        return -DISTANCES[self.distance](self.embedding(query), prototypes)

    def episode_loss(self, support, query, labels):
        """Return the loss of one update: cross-entropy of `episode` with the queries' classes.

        Gradients reach the embedding through queries and prototypes alike.

        Parameters
        ----------
        support, query
            As in `episode`.
        labels : torch.Tensor of int, (n_queries,)
            Rows of `support`.

        Returns
        -------
        torch.Tensor, ()
        """
        return F.cross_entropy(self.episode(support, query), labels)
