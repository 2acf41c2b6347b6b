"""Loads the parts of a diffusers folder or hub repository; safetensors only, nothing unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from diffusers import AutoencoderTiny, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from streamgen.errors import ConfigError, ModelError
from streamgen.models.hub import model_folder, tiny_vae_folder
from streamgen.models.parts import Vae, part_of, tokenizer_of, vae_of, weights_of
from streamgen.models.registry import ModelRow
from streamgen.models.text import SentenceReader, read, tokens_of
from streamgen.motion.live import LiveAdapter
from streamgen.revise import Abilities
from streamgen.schedule import NoiseSchedule, schedule_from

Kind = Literal["img2img", "instruct_pix2pix"]
KINDS: Mapping[str, Kind] = {
    "StableDiffusionPipeline": "img2img",
    "StableDiffusionImg2ImgPipeline": "img2img",
    "StableDiffusionInstructPix2PixPipeline": "instruct_pix2pix",
    "LatentConsistencyModelPipeline": "img2img",
    "LatentConsistencyModelImg2ImgPipeline": "img2img",
    "StableDiffusionXLPipeline": "img2img",
    "StableDiffusionXLImg2ImgPipeline": "img2img",
}
#: How many sizes SDXL is told: of the original, of the corner cut off, and of the picture.
TIME_IDS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondText:
    """SDXL's second text encoder, whose embedding of the whole sentence counts as well."""

    encoder: CLIPTextModelWithProjection
    tokenizer: CLIPTokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """The parts of a model in fp32 on the CPU, and what its configs say.

    zero_negative: an empty negative prompt is zeros to it, not a sentence. motion: what streams are
    drawn with, beside the UNet.
    """

    row: ModelRow
    kind: Kind
    unet: UNet2DConditionModel
    vae: Vae
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    schedule: NoiseSchedule
    second_text: SecondText | None = None
    zero_negative: bool = False
    motion: LiveAdapter | None = None

    @property
    def latent_channels(self) -> int:
        return int(self.unet.config.out_channels)

    @property
    def latent_factor(self) -> int:
        """How many pixels of a side make one latent pixel."""
        config = self.vae.config
        widths = config.get("block_out_channels") or config.get("encoder_block_out_channels")
        return int(2 ** (len(widths) - 1))

    @property
    def text_tokens(self) -> int:
        """How many tokens a sentence has, with padding."""
        limit = int(self.text_encoder.config.max_position_embeddings)
        return min(int(self.tokenizer.model_max_length), limit)

    @property
    def text_width(self) -> int:
        """Width of the embedding of a token."""
        return int(self.unet.config.cross_attention_dim)

    @property
    def pooled_width(self) -> int:
        """Width of a sentence's pooled embedding, 0 where the model takes none."""
        if self.second_text is None:
            return 0
        return int(self.second_text.encoder.config.projection_dim or 0)

    @property
    def guidance_width(self) -> int:
        """Width of the embedding of the guidance scale, 0 where the model takes none."""
        return int(self.unet.config.time_cond_proj_dim or 0)

    def abilities(self, size: tuple[int, int]) -> Abilities:
        """Return what the model can be asked for with pictures of (width, height)."""
        width, height = map(float, size)
        # Size of the original, its corner, size of the picture: nothing is scaled or cut off.
        time_ids = (height, width, 0.0, 0.0, height, width)
        return Abilities(
            reads_picture=self.kind == "instruct_pix2pix",
            works_blind=self.row.works_blind,
            pooled_width=self.pooled_width,
            time_ids=time_ids if self.second_text else (),
            zero_negative=self.zero_negative,
            guidance_width=self.guidance_width,
            has_motion=self.motion is not None,
        )

    @property
    def reader(self) -> SentenceReader:
        """The text encoders as one network."""
        second = self.second_text
        return SentenceReader(self.text_encoder, second.encoder if second else None)

    def text(self, sentence: str) -> Tensor:
        """Return the embedding of a sentence: float32 [tokens, width] on the CPU.

        With a pooled embedding, one row more: see `streamgen.models.text.read`.
        """
        second = [self.second_text.tokenizer] if self.second_text else []
        tokens = tokens_of(sentence, [self.tokenizer, *second], self.text_tokens)
        return read(self.reader, tokens)


def load_model(row: ModelRow) -> LoadedModel:
    """Load a model; raise ModelError saying what was found and what is supported."""
    folder = model_folder(row)
    index = _read_json(folder / "model_index.json")
    kind = _kind_of(index, row)
    unet = part_of(row, "unet", folder / "unet", weights_of(UNet2DConditionModel))
    _check_unet(unet, kind, row)
    _check_text(unet, index, row)
    tiny_vae = row.tiny_vae
    model = LoadedModel(
        row=row,
        kind=kind,
        unet=unet,
        vae=part_of(row, "vae", folder / "vae", vae_of(index))
        if tiny_vae is None
        else part_of(row, "vae", tiny_vae_folder(tiny_vae), weights_of(AutoencoderTiny)),
        text_encoder=part_of(
            row, "text_encoder", folder / "text_encoder", weights_of(CLIPTextModel)
        ),
        tokenizer=part_of(row, "tokenizer", folder / "tokenizer", tokenizer_of),
        second_text=_second_text(folder, row) if _is_xl(unet) else None,
        schedule=_schedule(folder, row),
        zero_negative=_is_xl(unet) and bool(index.get("force_zeros_for_empty_prompt", True)),
    )
    if _is_xl(unet):
        _check_pooled(model)
    return model


def _read_json(path: Path) -> Mapping[str, Any]:  # Any: whatever JSON holds
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"{path.parent}: there is no {path.name}: a model is a folder in diffusers layout"
        ) from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: holds a {type(content).__name__}, not a JSON object")
    return content


def _kind_of(index: Mapping[str, Any], row: ModelRow) -> Kind:
    found = str(index.get("_class_name"))
    if found not in KINDS:
        raise ModelError(f"model {row.name!r} is a {found}: supported are {', '.join(KINDS)}")
    return KINDS[found]


def _is_xl(unet: UNet2DConditionModel) -> bool:
    """Whether it is told a pooled embedding and sizes, as SDXL's is."""
    return bool(unet.config.addition_embed_type == "text_time")


def _second_text(folder: Path, row: ModelRow) -> SecondText:
    kind = weights_of(CLIPTextModelWithProjection)
    return SecondText(
        encoder=part_of(row, "text_encoder_2", folder / "text_encoder_2", kind),
        tokenizer=part_of(row, "tokenizer_2", folder / "tokenizer_2", tokenizer_of),
    )


def _check_text(unet: UNet2DConditionModel, index: Mapping[str, Any], row: ModelRow) -> None:
    found, has_second = index["_class_name"], "text_encoder_2" in index
    if _is_xl(unet) != has_second:
        takes = "takes" if _is_xl(unet) else "does not take"
        raise ModelError(
            f"model {row.name!r} is a {found} {'with' if has_second else 'without'} a second text"
            f" encoder, and its UNet {takes} one's embedding: use the folder of one whole model"
        )


def _check_unet(unet: UNet2DConditionModel, kind: Kind, row: ModelRow) -> None:
    config = unet.config
    # "text": attention pooling over the sentence's own tokens, without a further input.
    if config.addition_embed_type not in (None, "text", "text_time"):
        raise ModelError(
            f"model {row.name!r}: its UNet takes {config.addition_embed_type!r} beside the text:"
            " supported is 'text_time'"
        )
    wanted = config.out_channels * (2 if kind == "instruct_pix2pix" else 1)
    if config.in_channels != wanted:
        raise ModelError(
            f"model {row.name!r}: its UNet has {config.in_channels} input channels:"
            f" a {kind} model with {config.out_channels} outputs has {wanted}"
        )


def _check_pooled(model: LoadedModel) -> None:
    config, pooled = model.unet.config, model.pooled_width
    found = config.projection_class_embeddings_input_dim
    wanted = TIME_IDS * config.addition_time_embed_dim + pooled
    if found != wanted:
        raise ModelError(
            f"model {model.row.name!r}: its UNet takes {found} numbers beside the text: supported"
            f" are {TIME_IDS} sizes and the {pooled} of its second text encoder, {wanted} in all"
        )
    if pooled > model.text_width:
        raise ModelError(
            f"model {model.row.name!r}: its pooled embedding of {pooled} is wider than its text's,"
            f" {model.text_width}"
        )


def _schedule(folder: Path, row: ModelRow) -> NoiseSchedule:
    config = _read_json(folder / "scheduler" / "scheduler_config.json")
    try:
        return schedule_from(config)
    except ConfigError as error:
        raise ModelError(f"model {row.name!r}: {error}") from error
