"""Attention: a network in which every moment looks at every other (lesson 11)."""

import numpy as np
import torch
from torch import nn

from mirdl.models.blocks import Head, ResBlock, Tagger, scaled

#: Length in samples at 16 kHz of the audio that the published network sees: 15 s, 938 frames.
SELF_ATTENTION_SAMPLES = 240_000


class SelfAttention(Tagger):
    """Residual convolutions, then a Transformer encoder (Won et al., 2019; SMC 2020, "CNNSA").

    Seven residual blocks shrink 128 mel bands to one and 938 frames to 118 tokens of 256 values.
    A further token, "CLS", is put before them; two Transformer layers let all tokens look at each
    other [thesis Eq. 2.17 to 2.19], and what CLS has gathered goes through a dense layer to the
    logits. 10,521,652 parameters with 50 tags.

    As published, CLS is a fixed random vector, and nothing tells a token its place in time: the
    order of the music reaches the encoder only through the convolutions. The layers are BERT's:
    normalisation after each sum, exact GELU, dropout 0.5 of the attention and 0.4 elsewhere.

    Parameters
    ----------
    n_outputs : int
    front_end : str or FrontEnd
        The published one is 128 mel bands in dB, followed by a batch normalisation of the input.
        The seven blocks halve the bands, up to 128 of them, to one.
    width : float
        Factor on channels, and on the size of a token, which stays a multiple of `heads`.
    for_seconds : float, optional
        Length of the audio; the default is the published 240,000 samples.
    channels : sequence of int
        Channels of the seven blocks; the last of them is the size of a token.
    strides : sequence of pair of int
        (frequency, time) stride of each block.
    layers, heads : int
        Transformer layers, and heads in each; the hidden dense layers have 4 times the units of
        a token.
    """

    any_length = True

    def __init__(
        self,
        n_outputs=50,
        front_end="mel128",
        width=1,
        for_seconds=None,
        channels=(128, 128, 256, 256, 256, 256, 256),
        strides=((2, 2), (2, 2), (2, 2), (2, 1), (2, 1), (2, 1), (2, 1)),
        layers=2,
        heads=8,
    ):
        super().__init__(n_outputs, front_end, for_seconds, n_samples=SELF_ATTENTION_SAMPLES)
        size = heads * scaled([channels[-1] / heads], width)[0]
        channels = [1, *scaled(channels[:-1], width), size]
        self.norm = nn.BatchNorm2d(1)
        self.blocks = nn.Sequential(
            *(
                ResBlock(n_in, n_out, (3, 3), tuple(stride))
                for n_in, n_out, stride in zip(channels, channels[1:], strides, strict=False)
            )
        )
        cls = np.random.RandomState(0).random_sample((1, 1, size))
        self.register_buffer("cls", torch.tensor(cls, dtype=torch.float32), persistent=False)
        self.encoder = nn.ModuleList(bert_layer(size, heads) for _ in range(layers))
        self.dense = nn.Linear(size, size)
        self.head = Head(size, n_outputs)
        self.to(memory_format=torch.channels_last)

    def tokens(self, audio):
        """Return what the encoder reads: CLS, then one token for every 8 frames.

        Parameters
        ----------
        audio : torch.Tensor, float32 (batch, n_samples)

        Returns
        -------
        torch.Tensor, float32 (batch, 1 + frames / 8, size)
        """
        x = self.front_end(audio)  # (batch, 128, 938)
        x = self.norm(x.unsqueeze(1))  # (batch, 1, 128, 938)
        x = self.blocks(x)  # (batch, 256, 1, 118)
        x = x.squeeze(2).transpose(1, 2)  # (batch, 118, 256)
        return torch.cat([self.cls.expand(x.shape[0], -1, -1), x], dim=1)  # (batch, 119, 256)

    def forward(self, audio):
        x = self.tokens(audio)  # (batch, 119, 256)
        for layer in self.encoder:
            x = layer(x)  # (batch, 119, 256)
        x = torch.tanh(self.dense(x[:, 0]))  # (batch, 256)
        return self.head(x)  # (batch, n_outputs)

    @torch.inference_mode()
    def attention_maps(self, audio):
        """Return who looks at whom.

        Parameters
        ----------
        audio : torch.Tensor, float32 (batch, n_samples)

        Returns
        -------
        torch.Tensor, float32 (layers, batch, heads, tokens, tokens)
            Row i of a map sums to 1: how much token i takes from each token [α of thesis Eq.
            2.17]. Token 0 is CLS. In evaluation mode; dropout would blot some of them out.
        """
        x, maps = self.tokens(audio), []
        for layer in self.encoder:
            maps.append(layer.self_attn(x, x, x, average_attn_weights=False)[1])
            x = layer(x)  # (batch, tokens, size)
        return torch.stack(maps)


def bert_layer(size, heads):
    """Return one Transformer layer as BERT has it (Devlin et al., 2019), with CNNSA's dropout."""
    layer = nn.TransformerEncoderLayer(
        size,
        heads,
        dim_feedforward=4 * size,
        dropout=0.4,
        activation="gelu",
        layer_norm_eps=1e-12,
        batch_first=True,
    )
    layer.self_attn.dropout = 0.5
    layer.dropout = nn.Identity()  # between the two dense layers, where BERT has none
    return layer
