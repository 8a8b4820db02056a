"""1D networks: filters as tall as the spectrogram that move along time only (lesson 07)."""

from mirdl.models.blocks import ConvBlock, Head, Tagger, scaled


class DielemanSpectrogram(Tagger):
    """The spectrogram network of Dieleman and Schrauwen (ICASSP 2014, Figure 1a).

    Two convolutions over time that span all mel bands, each with max-pooling over 4 frames, then
    a dense layer. 74,974 parameters at 128 mel bands, 3 s and 50 tags (Pons et al., EUSIPCO 2017,
    Table 1, count 187 frames; the 188 of 48,000 samples pool to the same 45).

    Parameters
    ----------
    n_outputs : int
    front_end : str or FrontEnd
        The paper's is log(1 + 10,000 x) of 128 mel bands.
    width : float
        Factor on filters and hidden units.
    for_seconds : float
        Length of the audio; the first dense layer grows with it.
    """

    def __init__(self, n_outputs=50, front_end="mel128_log", width=1, for_seconds=3):
        super().__init__(n_outputs, front_end, for_seconds)
        filters, hidden = scaled([32, 100], width)
        self.conv1 = ConvBlock(
            self.front_end.n_mels, filters, 8, pool=4, order="CAP", padding="valid"
        )
        self.conv2 = ConvBlock(filters, filters, 8, pool=4, order="CAP", padding="valid")
        n_frames = ((self.n_frames - 7) // 4 - 7) // 4
        self.head = Head(filters * n_frames, n_outputs, order="HA", hidden=hidden)

    def forward(self, audio):
        x = self.front_end(audio)  # (batch, n_mels, 188)
        x = self.conv1(x)  # (batch, 32, 45)
        x = self.conv2(x)  # (batch, 32, 9)
        return self.head(x.flatten(1))  # (batch, n_outputs)
