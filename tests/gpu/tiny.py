"""Builds pipelines with random weights, small enough for a processor, in the form of real ones."""

# pyright: reportMissingImports=false, reportArgumentType=false
# These packages are in the extra `diffusers` only, and their own hints are narrower than they are.

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.flux.pipeline_flux import FluxPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import (
    StableDiffusionXLPipeline,
)
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
    FlowMatchEulerDiscreteScheduler,
)
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
)

_WIDTH = 32  # of every text encoder
_ENDS = ("<|startoftext|>", "<|endoftext|>")
_LETTERS = [chr(code) for code in range(33, 127)]
_NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def stable_diffusion(folder: Path) -> None:
    """Write a model of the kind of Stable Diffusion 1."""
    tokenizer = _clip_tokenizer(folder.parent / "tokenizer")
    StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=_seeded(CLIPTextModel, _clip_config()),
        tokenizer=tokenizer,
        unet=_unet(cross_attention_dim=_WIDTH),
        scheduler=DDIMScheduler(
            **_NOISE, clip_sample=False, set_alpha_to_one=False, steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)


def stable_diffusion_xl(folder: Path) -> None:
    """Write a model of the kind of SDXL: two text encoders, and sizes among its conditions."""
    tokenizer = _clip_tokenizer(folder.parent / "tokenizer")
    unet = _unet(
        cross_attention_dim=2 * _WIDTH,
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 2),
        projection_class_embeddings_input_dim=6 * 8 + _WIDTH,
    )
    StableDiffusionXLPipeline(
        vae=_vae(),
        text_encoder=_seeded(CLIPTextModel, _clip_config()),
        text_encoder_2=_seeded(CLIPTextModelWithProjection, _clip_config()),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet,
        scheduler=EulerDiscreteScheduler(**_NOISE, timestep_spacing="leading", steps_offset=1),
        add_watermarker=False,
    ).save_pretrained(folder)


def flux(folder: Path) -> None:
    """Write a model of the kind of Flux: a transformer, flow matching, and T5 beside CLIP."""
    tokenizer, words = _t5_tokenizer()
    t5 = T5Config(
        vocab_size=words,
        d_model=_WIDTH,
        d_kv=8,
        d_ff=37,
        num_layers=2,
        num_heads=4,
        feed_forward_proj="gated-gelu",
    )
    transformer = _seeded(
        lambda _: FluxTransformer2DModel(
            patch_size=1,
            in_channels=4,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=_WIDTH,
            pooled_projection_dim=_WIDTH,
            axes_dims_rope=(4, 4, 8),
        )
    )
    FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=_vae(
            latent_channels=1,
            use_quant_conv=False,
            use_post_quant_conv=False,
            shift_factor=0.06,
            scaling_factor=1.5,
        ),
        text_encoder=_seeded(CLIPTextModel, _clip_config()),
        tokenizer=_clip_tokenizer(folder.parent / "tokenizer"),
        text_encoder_2=_seeded(T5EncoderModel, t5),
        tokenizer_2=tokenizer,
        transformer=transformer,
    ).save_pretrained(folder)


def lora(folder: Path) -> Path:
    """Write a LoRA for the UNet of `stable_diffusion`, as training would, and return its file."""
    unet = _unet(cross_attention_dim=_WIDTH)
    unet.add_adapter(LoraConfig(r=4, target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
    generator = torch.Generator().manual_seed(1)
    for name, weight in unet.named_parameters():
        if "lora_" in name:
            with torch.no_grad():
                weight.copy_(torch.randn(weight.shape, generator=generator))
    layers = get_peft_model_state_dict(unet)
    StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=layers)
    return folder / "pytorch_lora_weights.safetensors"


# --- the parts -------------------------------------------------------------------------------


def _seeded(kind: Callable[[Any], Any], config: object = None) -> Any:
    torch.manual_seed(0)
    return kind(config).eval()


def _unet(**options: Any) -> Any:
    return _seeded(
        lambda _: UNet2DConditionModel(
            block_out_channels=(32, 64),
            layers_per_block=1,
            sample_size=16,
            in_channels=4,
            out_channels=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            norm_num_groups=8,
            **options,
        )
    )


def _vae(**options: Any) -> Any:
    return _seeded(
        lambda _: AutoencoderKL(
            block_out_channels=(8, 16, 16, 16),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            norm_num_groups=8,
            sample_size=64,
            **options,
        )
    )


def _clip_config() -> CLIPTextConfig:
    words = 2 * len(_LETTERS) + len(_ENDS)
    return CLIPTextConfig(
        vocab_size=words,
        hidden_size=_WIDTH,
        intermediate_size=37,
        num_attention_heads=4,
        num_hidden_layers=2,
        projection_dim=_WIDTH,
        bos_token_id=words - 2,
        eos_token_id=words - 1,
        pad_token_id=words - 1,
    )


def _clip_tokenizer(folder: Path) -> CLIPTokenizer:
    """Return a tokenizer that takes each letter for a word."""
    folder.mkdir(exist_ok=True)
    words = [*_LETTERS, *(letter + "</w>" for letter in _LETTERS), *_ENDS]
    vocabulary = {word: place for place, word in enumerate(words)}
    start, end = _ENDS
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": 77,
        "bos_token": start,
        "eos_token": end,
        "unk_token": end,
        "pad_token": end,
    }
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return CLIPTokenizer.from_pretrained(folder)


def _t5_tokenizer() -> tuple[PreTrainedTokenizerFast, int]:
    words = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -1.0)]
    words += [(letter, -1.0) for letter in _LETTERS]
    tokenizer = Tokenizer(models.Unigram(words, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    marks = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **marks)
    return fast, len(words)
