"""Sentences read with LoRAs: text encoders with other weights, beside those of the model."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from threading import Lock

from torch import Tensor, nn

from streamgen.lora.copies import copy_with, named_within, supplied
from streamgen.lora.delta import within
from streamgen.lora.fit import Networks
from streamgen.lora.names import Network
from streamgen.lora.weights import Key, Weights
from streamgen.models.loading import LoadedModel

#: Sets of text encoders that are kept; they share what no LoRA changes.
KEPT = 4


def networks_of(model: LoadedModel, unet: nn.Module | None = None) -> Networks:
    """Return the networks of a model that a LoRA can change.

    unet: in place of the model's, that with motion modules.
    """
    own = model.unet if unet is None else unet
    networks: dict[Network, nn.Module] = {"unet": own, "text_encoder": model.text_encoder}
    if model.second_text is not None:
        networks["text_encoder_2"] = model.second_text.encoder
    return networks


class LoraReaders:
    """Reads sentences with the text encoders as weights make them; for several threads."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self._made: OrderedDict[Key, LoadedModel] = OrderedDict()
        self._lock = Lock()

    def text(self, sentence: str, weights: Weights | None) -> Tensor:
        """Return the embedding of a sentence, as `LoadedModel.text`."""
        key = Key() if weights is None else weights.text_key
        if weights is None or not key:
            return self._model.text(sentence)
        with self._lock:
            if key not in self._made:
                self._made[key] = _with(self._model, weights)
                if len(self._made) > KEPT:
                    self._made.popitem(last=False)
            self._made.move_to_end(key)
            model = self._made[key]
        return model.text(sentence)


def _with(model: LoadedModel, weights: Weights) -> LoadedModel:
    """Return a model whose text encoders have other weights, and whose UNet is the same."""
    everything = networks_of(model).items()
    networks: Networks = {name: each for name, each in everything if name != "unet"}
    values = supplied(networks, (), within(weights.stack, networks))
    encoder = copy_with(model.text_encoder, named_within(values, "text_encoder"))
    second = model.second_text
    if second is not None:
        other = copy_with(second.encoder, named_within(values, "text_encoder_2"))
        second = replace(second, encoder=other)
    return replace(model, text_encoder=encoder, second_text=second)
