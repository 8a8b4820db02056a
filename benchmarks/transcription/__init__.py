"""The main networks once more, as plain PyTorch: what benchmarks/models.py measures ours against.

Every network is written out layer by layer in the way that first comes to mind: torchaudio's
transforms, the row-major layout, float32, one module after the other as the papers draw them. The
layers are registered in the order of ours, so that weights can be copied one after the other and
tests/test_benchmarks.py can show that both are the same network. Sizes are those of Won et al.,
SMC 2020; the front ends as in their set-up.
"""

from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torchaudio import transforms


class MelInput(nn.Module):
    """(batch, n_samples) → normalised decibels, (batch, 1, n_mels, n_frames)."""

    def __init__(self, n_mels):
        super().__init__()
        self.mel = transforms.MelSpectrogram(16_000, n_fft=512, f_max=8000, n_mels=n_mels)
        self.to_db = transforms.AmplitudeToDB()
        self.norm = nn.BatchNorm2d(1)

    def forward(self, audio):
        return self.norm(self.to_db(self.mel(audio)).unsqueeze(1))


class Conv2d(nn.Module):
    """Convolution, batch normalisation, ReLU, max-pooling."""

    def __init__(self, n_in, n_out, pool):
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.norm = nn.BatchNorm2d(n_out)
        self.pool = nn.MaxPool2d(pool)

    def forward(self, x):
        return self.pool(F.relu(self.norm(self.conv(x))))


class Conv1d(nn.Module):
    """The same along time."""

    def __init__(self, n_in, n_out, kernel, stride=1, padding=0, pool=1):
        super().__init__()
        self.conv = nn.Conv1d(n_in, n_out, kernel, stride, padding)
        self.norm = nn.BatchNorm1d(n_out)
        self.pool = nn.MaxPool1d(pool)

    def forward(self, x):
        return self.pool(F.relu(self.norm(self.conv(x))))


class Tall(nn.Module):
    """Filters over 7 frames and nearly all bands, then the largest value of the bands."""

    def __init__(self, height):
        super().__init__()
        self.conv = nn.Conv2d(1, 204, (height, 7), padding=(0, 3))
        self.norm = nn.BatchNorm2d(204)

    def forward(self, x):
        x = F.relu(self.norm(self.conv(x)))
        return F.max_pool2d(x, (x.shape[2], 1)).squeeze(2)


class Residual(nn.Module):
    """Two convolutions with a shortcut, then ReLU and max-pooling."""

    def __init__(self, n_in, n_out, stride=1, pool=1):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, padding=1)
        self.norm1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(n_out)
        self.changes = stride != 1 or n_in != n_out
        if self.changes:
            self.conv3 = nn.Conv2d(n_in, n_out, 3, stride, padding=1)
            self.norm3 = nn.BatchNorm2d(n_out)
        self.pool = nn.MaxPool2d(pool) if pool != 1 else None

    def forward(self, x):
        y = F.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        y = F.relu(y + (self.norm3(self.conv3(x)) if self.changes else x))
        return self.pool(y) if self.pool else y


class Dense(nn.Module):
    """Hidden layer, batch normalisation, ReLU, dropout, logits."""

    def __init__(self, n_in, hidden):
        super().__init__()
        self.dense1 = nn.Linear(n_in, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.dropout = nn.Dropout(0.5)
        self.dense2 = nn.Linear(hidden, 50)

    def forward(self, x):
        return self.dense2(self.dropout(F.relu(self.norm(self.dense1(x)))))


class FCN(nn.Module):
    def __init__(self):
        super().__init__()
        self.input = MelInput(96)
        self.layer1 = Conv2d(1, 64, (2, 4))
        self.layer2 = Conv2d(64, 128, (2, 4))
        self.layer3 = Conv2d(128, 128, (2, 4))
        self.layer4 = Conv2d(128, 128, (3, 5))
        self.layer5 = Conv2d(128, 64, (4, 4))
        self.dropout = nn.Dropout(0.5)
        self.dense = nn.Linear(64, 50)

    def forward(self, audio):
        x = self.layer2(self.layer1(self.input(audio)))
        x = self.layer5(self.layer4(self.layer3(x)))
        return self.dense(self.dropout(x.flatten(1)))


class Musicnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.input = MelInput(96)
        self.tall1 = Tall(67)
        self.tall2 = Tall(38)
        self.long = nn.ModuleList(Conv1d(1, 51, n, padding=n // 2) for n in (129, 65, 33))
        self.mid1 = Conv1d(561, 64, 7, padding=3)
        self.mid2 = Conv1d(64, 64, 7, padding=3)
        self.mid3 = Conv1d(64, 64, 7, padding=3)
        self.dense = Dense(2 * 753, 200)

    def forward(self, audio):
        x = self.input(audio)
        mean = F.avg_pool2d(x, (x.shape[2], 1)).squeeze(2)
        long = [conv(mean) for conv in self.long]
        x = torch.cat([self.tall1(x), self.tall2(x), *long], dim=1)
        y1 = self.mid1(x)
        y2 = self.mid2(y1) + y1
        y3 = self.mid3(y2) + y2
        x = torch.cat([x, y1, y2, y3], dim=1)
        return self.dense(torch.cat([x.max(dim=2).values, x.mean(dim=2)], dim=1))


class CRNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.input = MelInput(96)
        self.layer1 = Conv2d(1, 64, (2, 2))
        self.layer2 = Conv2d(64, 128, (3, 3))
        self.layer3 = Conv2d(128, 128, (4, 4))
        self.layer4 = Conv2d(128, 128, (4, 4))
        self.gru = nn.GRU(128, 32, 2, batch_first=True)
        self.dropout = nn.Dropout(0.5)
        self.dense = nn.Linear(32, 50)

    def forward(self, audio):
        x = self.layer2(self.layer1(self.input(audio)))
        x = self.layer4(self.layer3(x))
        x, _ = self.gru(x.squeeze(2).permute(0, 2, 1))
        return self.dense(self.dropout(x[:, -1]))


class SampleCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer1 = Conv1d(1, 128, 3, stride=3)
        channels = [128, 128, 128, *6 * [256], 512]
        self.layers = nn.ModuleList(
            Conv1d(n_in, n_out, 3, padding=1, pool=3) for n_in, n_out in pairwise(channels)
        )
        self.last = Conv1d(512, 512, 1)
        self.dropout = nn.Dropout(0.5)
        self.dense = nn.Linear(512, 50)

    def forward(self, audio):
        x = self.layer1(audio.unsqueeze(1))
        for layer in self.layers:
            x = layer(x)
        return self.dense(self.dropout(self.last(x).squeeze(2)))


class ShortChunkCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.input = MelInput(128)
        channels = [1, 128, 128, 256, 256, 256, 256, 512]
        self.layers = nn.ModuleList(Conv2d(n_in, n_out, 2) for n_in, n_out in pairwise(channels))
        self.dense = Dense(512, 512)

    def forward(self, audio):
        x = self.input(audio)
        for layer in self.layers:
            x = layer(x)
        return self.dense(F.max_pool1d(x.squeeze(2), x.shape[3]).squeeze(2))


class ShortChunkRes(nn.Module):
    def __init__(self):
        super().__init__()
        self.input = MelInput(128)
        channels = [1, 128, 128, 256, 256, 256, 256, 512]
        self.layers = nn.ModuleList(Residual(n_in, n_out, 2) for n_in, n_out in pairwise(channels))
        self.dense = Dense(512, 512)

    def forward(self, audio):
        x = self.input(audio)
        for layer in self.layers:
            x = layer(x)
        return self.dense(F.max_pool1d(x.squeeze(2), x.shape[3]).squeeze(2))


class HarmonicCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.q = nn.Parameter(torch.tensor([1.0]))
        self.spectrogram = transforms.Spectrogram(n_fft=512)
        self.to_db = transforms.AmplitudeToDB()
        notes = 24 + np.arange(128) / 2  # two bands a semitone, from C1 up
        fundamentals = 440 * 2 ** ((notes - 69) / 12)
        centres = np.concatenate([h * fundamentals for h in range(1, 7)])
        self.register_buffer("centres", torch.tensor(centres).float(), persistent=False)
        bins = torch.linspace(0, 8000, 257).unsqueeze(1)
        self.register_buffer("bins", bins, persistent=False)
        self.norm = nn.BatchNorm2d(6)
        self.layer1 = Conv2d(6, 128, 2)
        self.layer2 = Residual(128, 128, pool=2)
        self.layer3 = Residual(128, 128, pool=2)
        self.layer4 = Residual(128, 128, pool=2)
        self.layer5 = Conv2d(128, 256, 2)
        self.layer6 = Residual(256, 256, pool=(2, 3))
        self.layer7 = Residual(256, 256, pool=(2, 3))
        self.dense = Dense(256, 256)

    def forward(self, audio):
        width = (0.1079 * self.centres + 24.7) / self.q
        rising = 1 + 2 * (self.bins - self.centres) / width
        falling = 1 - 2 * (self.bins - self.centres) / width
        bank = torch.clamp(torch.minimum(rising, falling), min=0)
        power = torch.matmul(self.spectrogram(audio).transpose(1, 2), bank).transpose(1, 2)
        x = self.norm(self.to_db(power.reshape(len(audio), 6, 128, -1)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = self.layer7(self.layer6(self.layer5(x)))
        return self.dense(x.amax(dim=(2, 3)))


class SelfAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.input = MelInput(128)
        channels = [1, 128, 128, 256, 256, 256, 256, 256]
        strides = 3 * [2] + 4 * [(2, 1)]
        self.layers = nn.ModuleList(
            Residual(n_in, n_out, stride)
            for n_in, n_out, stride in zip(channels, channels[1:], strides, strict=False)
        )
        cls = torch.from_numpy(np.random.RandomState(0).random_sample((1, 1, 256))).float()
        self.register_buffer("cls", cls, persistent=False)
        self.encoder = nn.ModuleList(
            nn.TransformerEncoderLayer(
                256, 8, 1024, 0.4, "gelu", layer_norm_eps=1e-12, batch_first=True
            )
            for _ in range(2)
        )
        self.pool = nn.Linear(256, 256)
        self.dropout = nn.Dropout(0.5)
        self.dense = nn.Linear(256, 50)

    def forward(self, audio):
        x = self.input(audio)
        for layer in self.layers:
            x = layer(x)
        x = x.squeeze(2).permute(0, 2, 1)
        x = torch.cat([self.cls.repeat(len(x), 1, 1), x], dim=1)
        for layer in self.encoder:
            x = layer(x)
        return self.dense(self.dropout(torch.tanh(self.pool(x[:, 0]))))


#: By the names of `mirdl.models`.
NETWORKS = {
    "fcn": FCN,
    "musicnn": Musicnn,
    "crnn": CRNN,
    "sample_cnn": SampleCNN,
    "short_chunk_cnn": ShortChunkCNN,
    "short_chunk_res": ShortChunkRes,
    "harmonic_cnn": HarmonicCNN,
    "self_attention": SelfAttention,
}


def copy_weights(ours, plain):
    """Give the transcription the weights and running statistics of ours, in their order.

    Raises
    ------
    ValueError
        If number or shapes of the values differ.
    """
    # the transforms hold a window and a mel bank, which ours does not count among its weights
    theirs = {
        name: value
        for name, value in plain.state_dict().items()
        if not name.endswith((".window", ".fb"))
    }
    values = ours.state_dict().values()
    if [v.shape for v in values] != [v.shape for v in theirs.values()]:
        raise ValueError("the transcription has other layers")
    for mine, their in zip(values, theirs.values(), strict=True):
        their.copy_(mine)
